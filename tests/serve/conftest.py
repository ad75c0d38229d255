"""What the tests of the front door share: a model file, a folder of frames, and the command itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brightness_model import write_model
from live_service import Live
from made_frames import write_frame

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "brightness.onnx")


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good frames, one of them in a second folder under the same name, and one damaged file."""
    folder = tmp_path_factory.mktemp("frames")
    for seed, name in enumerate(("a.fits", "b.fits", "c.fits", "d.fits", "again/b.fits")):
        write_frame(folder / name, seed, plume=seed != 1, spot=seed != 2)
    (folder / "broken.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 100)
    return folder


@pytest.fixture(scope="session")
def command() -> Command:
    """Run ``io-detector`` as a user does, in a process of its own."""
    here = Path(__file__).resolve().parents[2]

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "serve.cli", *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, cwd=here, timeout=120)

    return run


TOKEN = "a-token-of-many-letters"


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[Live]:
    """A running service that wants a token."""
    with Live(tmp_path_factory.mktemp("guarded") / "store", model_file, token=TOKEN) as service:
        yield service


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[Live]:
    """A running service that holds the frame ``seen``: a plume and a hot spot."""
    with Live(tmp_path_factory.mktemp("store") / "store", model_file, "--max-pixels", 2_000_000) as service:
        frame = write_frame(tmp_path_factory.mktemp("web") / "seen.fits")
        assert service.detect(frame).status_code == 200
        yield service
