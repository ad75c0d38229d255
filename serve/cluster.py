"""A batch on a Ray cluster: the same steps on every node, each product's outcome sent home to the one journal.

Input, output folder and model must lie on a file system that all nodes share, under the same paths. Each actor keeps
one worker process of its own, as a local run does, so a product that kills its worker or hangs is found out alike.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from detector.errors import InputError
from detector.products import Product
from serve.journal import Outcome
from serve.lanes import Lanes
from serve.worker import Settings, Task

PART = 4000
"""Tasks that are given to the cluster together; a run that is asked to stop finishes them."""
BLOCKS_A_WORKER = 8


class Cluster:
    """The actors of a Ray cluster as a crew; the cluster of RAY_ADDRESS, or one started on this machine.

    Args:
        settings: what the workers must know. With ``device`` ``cuda`` each actor asks for a GPU.
        workers: how many actors.

    Raises:
        InputError: Ray is not installed.

    """

    def __init__(self, settings: Settings, workers: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
            import ray.data
        except ImportError as error:
            remedy = "pip install 'io-detector[ray]'"
            raise InputError("ray", "is not installed, and --engine ray needs it", remedy) from error
        self._ray = ray
        self._workers = workers
        model = None if settings.model is None else settings.model.absolute()
        kernels = None if settings.kernels is None else settings.kernels.absolute()
        threads = settings.threads or 1
        here = settings.out.absolute()
        self._settings = replace(settings, out=here, model=model, kernels=kernels, threads=threads)

    def outcomes(self, tasks: Iterator[Task], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Yield the outcomes as they come home."""
        if not self._ray.is_initialized():
            self._ray.init(log_to_driver=False, logging_level=logging.ERROR)
        self._ray.data.DataContext.get_current().enable_progress_bars = False
        while not stopped() and (part := list(islice(tasks, PART))):
            yield from self._part(part)

    def _part(self, tasks: list[Task]) -> Iterator[Outcome]:
        rows = [{"task": pickle.dumps(_anywhere(task))} for task in tasks]
        blocks = min(len(rows), BLOCKS_A_WORKER * self._workers)
        done = self._ray.data.from_items(rows, override_num_blocks=blocks).map(
            _Actor,  # type: ignore[arg-type]
            fn_constructor_args=(self._settings,),
            compute=self._ray.data.ActorPoolStrategy(size=min(self._workers, len(rows))),
            num_cpus=self._settings.threads,
            num_gpus=1 if self._settings.device == "cuda" else 0,
        )
        for row in done.iter_rows():
            yield pickle.loads(row["outcome"])


class _Actor:
    """One worker process on some node."""

    def __init__(self, settings: Settings) -> None:
        self._lanes = Lanes(settings, 1)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        (outcome,) = self._lanes.outcomes(iter([pickle.loads(row["task"])]))
        return {"outcome": pickle.dumps(outcome)}


def _anywhere(task: Task) -> Task:
    """Return the task with paths that do not depend on the folder it is done in; its key stays as it was named."""
    product = task.product
    label = None if product.label is None else product.label.absolute()
    return replace(task, product=Product(label, product.data.absolute(), product.problem))
