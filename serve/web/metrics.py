"""What Prometheus asks for."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest


class Metrics:
    """Counters of one service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._answers = Counter(
            "io_detector_http_requests_total",
            "Answers by route and status.",
            ("route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "io_detector_http_seconds", "Time to the answer's first byte.", ("route",), registry=self.registry
        )
        self._products = Counter(
            "io_detector_products_total", "Products by what became of them.", ("state",), registry=self.registry
        )
        self._product_seconds = Histogram(
            "io_detector_product_seconds", "Time of a worker for a product.", registry=self.registry,
            buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300),
        )  # fmt: skip

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._answers.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def worked(self, state: str, seconds: float) -> None:
        """Count a product that a worker is done with."""
        self._products.labels(state).inc()
        self._product_seconds.observe(seconds)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for when the metrics are."""
        Gauge(f"io_detector_{name}", text, registry=self.registry).set_function(value)

    def page(self) -> bytes:
        """Return the metrics as Prometheus reads them."""
        return generate_latest(self.registry)
