"""Shards: every product in exactly one, and together the bytes of one run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_frames import write_frame

from detector.errors import InputError
from detector.products import Product, find_products
from serve import batch
from serve.batch import merge, run
from serve.journal import Journal
from serve.shards import Shard
from serve.worker import Settings


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1), st.integers(1, 40))
def test_a_product_is_in_exactly_one_shard_whatever_its_folder(name: str, count: int) -> None:
    shards = [Shard(number, count) for number in range(1, count + 1)]
    here = [Product(None, Path("a", name + ".IMG")) in shard for shard in shards]
    there = [Product(None, Path("b/c", name.swapcase().swapcase() + ".fits")) in shard for shard in shards]
    assert sum(here) == 1
    assert name != name.swapcase().swapcase() or here == there


def test_shards_are_even() -> None:
    products = [Product(None, Path(f"C{number:010d}R.IMG")) for number in range(4000)]
    sizes = [sum(product in Shard(n, 4) for product in products) for n in (1, 2, 3, 4)]
    assert sum(sizes) == 4000
    assert min(sizes) > 900  # a fair share is 1000 with a 1-sigma of 27


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "a/b", "-1/2", "1/4/2", "", "1.0/2"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected i/n"):
        Shard.parse(text)


NAMES = ("a", "b", "c", "x y", "x_y", "sub/a", "sub/b2")
"""``a`` twice, in one shard; ``x y`` and ``x_y`` become one frame's name and lie in different shards of 3."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for seed, name in enumerate(NAMES):
        write_frame(folder / f"{name}.fits", seed)
    (folder / "broken.fits").write_bytes(b"SIMPLE  =" + b" " * 91)
    return folder


@pytest.fixture(scope="module")
def shards(archive: Path, model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = [tmp_path_factory.mktemp("shards") / str(number) for number in (1, 2, 3)]
    for number, folder in enumerate(folders, 1):
        run(find_products([archive]), settings(folder, model_file), shard=Shard(number, 3))
    return folders


def settings(out: Path, model_file: Path) -> Settings:
    return Settings(out, model=model_file, threads=1, quicklooks=False)


def left(out: Path) -> dict[str, bytes]:
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    files = {name: content for name, content in files.items() if "/." not in f"/{name}"}
    rows = files["frames.csv"].splitlines()
    return files | {"frames.csv": b"\n".join(row.rpartition(b",")[0] for row in rows)}


def test_merged_shards_are_one_run(archive: Path, shards: list[Path], model_file: Path, tmp_path: Path) -> None:
    one, other = (Product(None, archive / f"{name}.fits") for name in ("x y", "x_y"))
    assert not any(one in Shard(n, 3) and other in Shard(n, 3) for n in (1, 2, 3))
    run(find_products([archive]), settings(tmp_path / "whole", model_file))
    merge(shards[::-1], settings(tmp_path / "merged", model_file))
    assert left(tmp_path / "merged") == left(tmp_path / "whole")
    again = merge(shards, settings(tmp_path / "merged", model_file))
    assert again.counts["rejected"] == 1
    assert left(tmp_path / "merged") == left(tmp_path / "whole")
    report = run(find_products([archive]), settings(tmp_path / "merged", model_file))
    assert report.reused == len(NAMES) + 1  # a merged folder goes on like any other


def test_what_does_not_belong_together_is_not_merged(
    archive: Path, shards: list[Path], model_file: Path, tmp_path: Path
) -> None:
    out = settings(tmp_path / "merged", model_file)
    with pytest.raises(InputError, match="1, 2 of 3"):
        merge(shards[:2], out)
    with pytest.raises(InputError, match="1, 2, 3, 3 of 3"):
        merge([*shards, shards[2]], out)
    with pytest.raises(InputError, match="no run has written"):
        merge([archive], out)
    half = settings(tmp_path / "half", model_file)
    run(find_products([archive]), half, shard=Shard(3, 3), stopped=lambda: True)
    with pytest.raises(InputError, match="not done"):
        merge([*shards[:2], half.out], out)
    with pytest.raises(InputError, match="screening"):
        merge(shards, Settings(out.out, "screening", model_file))


def test_a_shard_is_stated_in_its_journal(shards: list[Path]) -> None:
    with Journal(shards[1]) as journal:
        assert (journal.fact("shard"), journal.unsettled()) == ("2/3", 0)
    assert batch.TRIES == 3
