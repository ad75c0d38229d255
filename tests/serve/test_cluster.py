"""A Ray cluster gives the same catalogue as one machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from detector.errors import InputError
from detector.products import find_products
from serve.batch import run
from serve.cluster import Cluster
from serve.worker import Settings


def test_the_catalogue_is_that_of_a_local_run(
    frames: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    monkeypatch.chdir(tmp_path)  # the actors work elsewhere
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    here, there = (Settings(Path(name), model=model_file, threads=1) for name in ("local", "ray"))
    run(find_products([frames]), here)
    try:
        report = run(find_products([frames]), there, crew=Cluster(there, 2))
        again = run(find_products([frames]), there, crew=Cluster(there, 2))
    finally:
        ray.shutdown()
    assert (report.reused, again.reused) == (0, 6)
    for name in ("catalogue.csv", "catalogue.geojson"):
        assert Path("ray", name).read_bytes() == Path("local", name).read_bytes()
    local, remote = ({p.name: p.read_bytes() for p in Path(out).glob("*/*")} for out in ("local", "ray"))
    assert len(local) == 10
    assert remote == local


def test_without_ray_it_is_said_what_to_install(
    model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"io-detector\[ray\]"):
        Cluster(Settings(tmp_path, model=model_file), 1)
