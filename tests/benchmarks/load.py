"""Many clients at once: ``python -m tests.benchmarks.load [--clients 32] [--seconds 120]``.

Starts a service with the released model, lets each client upload frames (every one different, so that each is worked
on) and look at pictures, pixels, the catalogue and the page in between, and prints the time to an answer by kind, how
many were told to come again (503 with Retry-After), the memory of the service and its workers through the run, and
whether SIGTERM left a child. Exit code 1 where anything else than 200, 202 or 503 came, or a
child stayed.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import httpx
import numpy as np
from astropy.io import fits

from tests.made_frames import io_image
from tests.serve.live_service import Live, resident_mib

LOOKS = (
    "/v1/frames?limit=50", "/v1/catalogue?limit=100", "/v1/catalogue?format=geojson&min_score=0.5", "/v1/volcanoes",
    "/v1/frames/{frame}", "/v1/frames/{frame}/image.png", "/v1/frames/{frame}/pixels?width=256&height=256",
    "/v1/frames/{frame}/strip.png", "/v1/frames/{frame}/mask.png", "/", "/js/main.js", "/healthz",
)  # fmt: skip
LOOKS_AN_UPLOAD = 4
NO_LIMB = "404 no trusted limb"


class Crowd:
    """Clients and what they saw."""

    def __init__(self, url: str, until: float) -> None:
        self.url, self.until = url, until
        self.took_s: dict[str, list[float]] = defaultdict(list)
        self.codes: Counter[str] = Counter()
        self.frames = ["first"]
        self._lock = threading.Lock()

    def client(self, number: int) -> None:
        """Upload and look until the end."""
        dice = random.Random(number)
        with httpx.Client(base_url=self.url, timeout=120) as client:
            count = 0
            while time.monotonic() < self.until:
                self._upload(client, f"c{number}-{count}", seed=1000 * number + count + 1)
                for path in dice.choices(LOOKS, k=LOOKS_AN_UPLOAD):
                    frame = self.frames[dice.randrange(len(self.frames))]
                    self._ask(path.partition("?")[0], lambda p=path, f=frame: client.get(p.format(frame=f)))  # type: ignore[misc]
                count += 1

    def _upload(self, client: httpx.Client, name: str, seed: int) -> None:
        content = as_fits(seed)
        answer = self._ask("upload", lambda: client.post("/v1/detect", files=[("files", (f"{name}.fits", content))]))
        if answer is not None and answer.status_code == 200:
            self.frames.append(name)
        if answer is not None and answer.status_code == 503:
            time.sleep(float(answer.headers["retry-after"]))

    def _ask(self, kind: str, ask) -> httpx.Response | None:  # type: ignore[no-untyped-def]
        started = time.monotonic()
        try:
            answer = ask()
            code = _code(answer)
        except httpx.TransportError as error:
            answer, code = None, type(error).__name__
        with self._lock:
            self.codes[code] += 1
            if code in ("200", "202"):
                self.took_s[kind].append(time.monotonic() - started)
        return answer  # type: ignore[no-any-return]


def _code(answer: httpx.Response) -> str:
    """Return an answer's status; a frame without a trusted limb has no strip, and that is no error."""
    if answer.status_code == 503 and "retry-after" not in answer.headers:
        return "503 without Retry-After"
    if answer.status_code == 404 and "no trusted limb" in answer.text:
        return NO_LIMB
    return str(answer.status_code)


def as_fits(seed: int) -> bytes:
    """Return a small frame, another for every seed."""
    stream = io.BytesIO()
    fits.writeto(stream, io_image(seed).astype(np.float32))
    return stream.getvalue()


def main() -> None:
    """Run the load and print what came of it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--seconds", type=float, default=120)
    options.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of the service")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="load-"))
    with Live(folder / "store", None, *chosen.options) as live:
        assert live.send("first.fits", as_fits(0)).status_code == 200
        crowd = Crowd(live.url, time.monotonic() + chosen.seconds)
        threads = [threading.Thread(target=crowd.client, args=(n,)) for n in range(chosen.clients)]
        for thread in threads:
            thread.start()
        memory = _watch(live, chosen.seconds)
        for thread in threads:
            thread.join()
        children = live.children()
        code = live.end(120)
        left = _left(children)
    shutil.rmtree(folder)
    _print(crowd, memory, code, left, chosen.seconds)
    sys.exit(bool(left or code or set(crowd.codes) - {"200", "202", "503", NO_LIMB}))


def _left(pids: set[int], seconds: float = 5.0) -> set[int]:
    """Return which of these processes are still there after a few seconds."""
    until = time.monotonic() + seconds
    while (left := {pid for pid in pids if Path(f"/proc/{pid}").exists()}) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def _watch(live: Live, seconds: float) -> list[tuple[float, float]]:
    """Return the memory of the service and of its children, MiB, a few times a second."""
    seen = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen.append((resident_mib(live.process.pid), sum(map(resident_mib, live.children()))))
        time.sleep(min(0.5, seconds / 50))
    return seen


def _print(crowd: Crowd, memory: list[tuple[float, float]], code: int, left: set[int], seconds: float) -> None:
    lines = [f"{'':44}{'n':>7}{'p50 s':>9}{'p95 s':>9}{'max s':>9}"]
    groups = {"uploads": crowd.took_s.pop("upload", [])} | dict(sorted(crowd.took_s.items()))
    groups["all but uploads"] = [took for kind, own in groups.items() if kind != "uploads" for took in own]
    for kind, took in groups.items():
        if took:
            p50, p95 = np.percentile(took, [50, 95])
            lines.append(f"{kind:44}{len(took):7}{p50:9.3f}{p95:9.3f}{max(took):9.3f}")
    lines.append(f"answers {dict(crowd.codes)} in {seconds:g} s")
    for what, n in (("the service", 0), ("its children", 1)):
        tenths = [np.mean([seen[n] for seen in part]) for part in np.array_split(memory, 10)]  # type: ignore[arg-type]
        lines.append(f"memory of {what}, MiB, by tenths of the run: {' '.join(f'{mean:.0f}' for mean in tenths)}")
    lines.append(f"SIGTERM: exit code {code}, {len(left)} children left")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
