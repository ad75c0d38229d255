"""The trials of a batch, small: damage is damage, and a trial that should fail does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from detector.errors import InputError
from detector.frame import sha256_of
from detector.products import find_products
from detector.readers import read_frames
from training.batch_trial import DAMAGES, differences, make_products, odd_statuses, trial


def digest_of(*files: Path | None) -> str:
    return "+".join(sha256_of(path) for path in files if path is not None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("made") / "frames"
    return folder, make_products(folder, 10, 0.5, 7)


def test_copies_read_like_their_originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.batch_trial.ORIGINALS", 5)
    make_products(tmp_path, 10, 0.0, 7)
    products = find_products([tmp_path])
    assert len(products) == 10
    by_name = {product.data.stem: product for product in products}
    for stem in [stem for stem in by_name if stem.endswith("C001")]:
        ours, theirs = (read_frames(by_name[name]) for name in (stem, stem.removesuffix("C001")))
        assert [one.shape for one in ours] == [other.shape for other in theirs]
        assert all((one.image == other.image).all() for one, other in zip(ours, theirs, strict=True))
        assert {one.id for one in ours}.isdisjoint(other.id for other in theirs)
    assert len({digest_of(product.data, product.label) for product in products}) == 10


def test_what_is_damaged_cannot_be_read_and_all_else_can(made: tuple[Path, dict[str, str]]) -> None:
    folder, wrong = made
    assert sorted(way for way in wrong.values() if way) == sorted(DAMAGES)
    for product in find_products([folder]):
        if wrong[product.data.name]:
            with pytest.raises(InputError):
                read_frames(product)
        else:
            assert read_frames(product)


def test_a_small_trial_passes(tmp_path: Path) -> None:
    verdict = trial(5, 0.2, 1, 1, 7, tmp_path)
    assert verdict.passed, "\n".join(verdict.lines)
    whole, other = tmp_path / "whole", tmp_path / "other"
    shutil.copytree(whole, other)
    mask = next(other.glob("masks/*"))
    mask.write_bytes(mask.read_bytes()[:-1])
    table = (other / "catalogue.csv").read_bytes()
    (other / "catalogue.csv").write_bytes(table[:-1])
    assert differences(whole, other) == [f"masks/{mask.name}", "catalogue.csv"]
    names = {product.data.name: "" for product in find_products([tmp_path / "frames"])}
    assert len(odd_statuses(whole, dict.fromkeys(names, "truncated"))) == 4
    assert odd_statuses(whole, {"none.IMG": ""}) == ["none.IMG: sound, but no row"]
