"""A service in a process of its own, as a user starts it, on a free port of this machine."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import httpx

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = re.compile(r"http://[^ ]+/")


class Live:
    """A running service; a context manager that ends it."""

    def __init__(self, store: Path, model: Path | None, *options: object, token: str = "") -> None:
        words = [sys.executable, "-m", "serve.cli", "serve", "--port", "0", "--store", str(store), *map(str, options)]
        words += ["--model", str(model)] if model else []
        environment = os.environ | {"IO_DETECTOR_TOKEN": token}
        self.token = token
        self.process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        assert self.process.stderr is not None
        threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True).start()
        self.url = self._address()
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(base_url=self.url, timeout=60, headers=bearer)

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            self.said.append(line)
            self.lines.put(line)

    def _address(self) -> str:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                found = ADDRESS.search(self.lines.get(timeout=0.2))
            except queue.Empty:
                if self.process.poll() is not None:
                    break
                continue
            if found:
                return found[0].rstrip("/")
        raise AssertionError(f"the service did not come up: {''.join(self.said)}")

    def ready(self) -> Live:
        """Wait for a worker."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if self.client.get("/readyz").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the service is not ready: {''.join(self.said)}")

    def detect(self, *paths: Path, **headers: str) -> httpx.Response:
        """Upload files."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        files = [("files", (path.name, path.read_bytes())) for path in paths]
        return self.client.post("/v1/detect", files=files, headers=named)

    def send(self, name: str, content: bytes) -> httpx.Response:
        """Upload bytes under a name."""
        return self.client.post("/v1/detect", files=[("files", (name, content))])

    def children(self) -> set[int]:
        """Return the processes that the service has started, and those that they have."""
        return descendants(self.process.pid)

    def end(self, timeout_s: float = 30) -> int:
        """Tell the service to end as a system does, and return its exit code."""
        self.process.terminate()
        return self.process.wait(timeout_s)

    def __enter__(self) -> Live:
        return self.ready()

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def descendants(pid: int) -> set[int]:
    """Return every process below one, by /proc."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(fields[1])
    found: set[int] = set()
    front = {pid}
    while front:
        front = {child for child, parent in parents.items() if parent in front} - found
        found |= front
    return found


def resident_mib(pid: int) -> float:
    """Return how much memory a process holds."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]
