"""Labelled frames in training: what their labels know is learnt, and nothing else; they are mixed in as asked for."""

from __future__ import annotations

import json
import math
from pathlib import Path

import label_files
import numpy as np
import pytest
import torch
from astropy.io import fits
from pydantic import ValidationError

from detector.errors import InputError
from detector.frame import CLASSES
from detector.limb import Limb
from detector.mask import Mask
from models.network import NetworkConfig, Unwrap
from training.config import CircleConfig, DataConfig, TrainConfig
from training.data import IoData, Items
from training.items import strip_fields, strip_item, strip_tensors
from training.labelled import END_RAD, LabelledItems, picture_of
from training.labels import DatasetWriter, LabelledFrame, LimbInterval, Truth, read_dataset
from training.labels.importing import import_labels
from training.labels.truth import UNSTATED
from training.losses import stretch_loss
from training.train import seen_files

SMALL = NetworkConfig(altitudes=32, azimuths=64, limb_widths=(4, 6), disk_widths=(4, 6))
SHAPE = (120, 140)
LIMB = Limb(70.0, 60.0, 35.0, source="label")
RIGHT = CircleConfig(jittered=0, wrong=0)
STRETCH = LimbInterval("plume", 1.0, 1.6)


def image(seed: int) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disk = np.hypot(x - LIMB.x_px, y - LIMB.y_px) < LIMB.radius_px
    return (100.0 * disk + np.random.default_rng(seed).normal(10, 1, SHAPE)).astype(np.float32)


def a_plume() -> np.ndarray:
    plane = np.zeros(SHAPE, bool)
    plane[20:26, 66:74] = True
    return plane


def by_limb(name: str, split: str = "train") -> LabelledFrame:
    from training.labels.truth import limb_strip

    known = limb_strip(LIMB, SHAPE)
    return LabelledFrame(
        name, "", Mask(np.zeros((2, *SHAPE), bool), known), LIMB, observation=name, split=split,
        limb_intervals=(STRETCH,), looked_for=("plume",), by_limb=True,
    )  # fmt: skip


def by_pixels(name: str, split: str = "train", **changes: object) -> LabelledFrame:
    planes = np.stack([a_plume(), np.zeros(SHAPE, bool)])
    known = {"limb": LIMB, "observation": name, "split": split, "objects": (Truth.cut("p", "plume", a_plume()),)}
    mask = changes.pop("mask", Mask(planes, np.ones(SHAPE, bool)))
    return LabelledFrame(name, "", mask, **(known | changes))  # type: ignore[arg-type]


def written(folder: Path, *frames: LabelledFrame) -> Path:
    with DatasetWriter(folder, {"generator": "by hand"}) as writer:
        for frame in frames:
            fits.writeto(writer.frames / f"{frame.frame_id}.fits", image(ord(frame.frame_id[0])))
            writer.add(f"{frame.frame_id}.fits", frame)
    return folder


def config(folder: Path, *labels: Path, **data: object) -> TrainConfig:
    settings = {"cache": folder / "cache", "disk_crop_px": 64, "labels": labels, "labels_each": 3, "sides_px": (64, 80)}
    return TrainConfig(network=SMALL, circles=RIGHT, data=DataConfig(**(settings | data)))


def pictured(folder: Path, frame: LabelledFrame):
    ((read, labelled),) = read_dataset(written(folder, frame)).pairs()
    return picture_of(read, labelled)


def a_strip(picture, **circles: float) -> dict:
    rng = np.random.default_rng(2)
    return strip_item(picture, Unwrap(SMALL), CircleConfig(**({"jittered": 0, "wrong": 0} | circles)), rng)


# -- what is learnt ---------------------------------------------------------------------------------------------------


def test_a_stretch_of_limb_asks_for_something_at_its_azimuths_and_for_nothing_at_the_others(tmp_path):
    tensors = strip_tensors(a_strip(pictured(tmp_path / "d", by_limb("f1"))), None)
    angles = (np.arange(64) + 0.5) / 64 * 2 * math.pi
    np.testing.assert_array_equal(tensors["stretch"][0, 0] > 0, (angles >= 1.0) & (angles <= 1.6))
    assert not tensors["target"].any()
    ignored = tensors["ignored"][0].numpy() > 0
    above = slice(6, None)  # the rows above the strip's foot
    assert ignored[above][:, (angles > 1.0) & (angles < 1.6)].all()
    assert not ignored[above][:, (angles < 1.0 - END_RAD - 0.1) | (angles > 1.6 + END_RAD + 0.1)].any()


def test_on_a_wrong_circle_a_stretch_asks_for_nothing(tmp_path):
    item = a_strip(pictured(tmp_path / "d", by_limb("f1")), wrong=1)
    assert not strip_tensors(item, None)["stretch"].any()
    assert not item["holds"]


def test_a_stretch_is_turned_with_its_strip(tmp_path):
    item = a_strip(pictured(tmp_path / "d", by_limb("f1")))
    for seed in range(8):
        tensors = strip_tensors(item, np.random.default_rng(seed))
        columns = tensors["stretch"][0, 0] > 0
        ignored = (tensors["ignored"][0] > 0).all(dim=0)
        assert columns.sum() == 6
        assert ignored[columns].all()
        assert ignored.sum() <= 8  # the stretch and its ends


def test_what_nobody_looked_at_or_for_is_left_out(tmp_path):
    known = np.ones(SHAPE, bool)
    known[:, :50] = False
    planes = np.stack([a_plume(), np.zeros(SHAPE, bool)])
    picture = pictured(tmp_path / "d", by_pixels("f1", mask=Mask(planes, known), looked_for=("plume",)))
    np.testing.assert_array_equal(picture.planes[..., 3] > 0, ~known)
    assert (picture.planes[..., 4] > 0).all()  # nobody looked for hot spots
    np.testing.assert_array_equal(picture.planes[..., 1] > 0, a_plume())


def test_faint_objects_are_left_out_but_where_a_strong_one_stands(tmp_path):
    strong = np.zeros(SHAPE, bool)
    strong[22:30, 70:80] = True
    planes = np.stack([a_plume() | strong, np.zeros(SHAPE, bool)])
    objects = (Truth.cut("f", "plume", a_plume(), snr_mf=2.0), Truth.cut("s", "plume", strong, snr_mf=30.0))
    frame = by_pixels("f1", objects=objects, mask=Mask(planes, np.ones(SHAPE, bool)))
    picture = pictured(tmp_path / "d", frame)
    np.testing.assert_array_equal(picture.planes[..., 3] > 0, a_plume() & ~strong)


def test_where_the_labels_name_no_limb_one_is_found(tmp_path):
    picture = pictured(tmp_path / "d", by_pixels("f1", limb=Limb.none(UNSTATED)))
    assert picture.circle == pytest.approx(LIMB.as_array(), abs=0.5)
    none = pictured(tmp_path / "e", by_pixels("f1", limb=Limb.none("the labels name none")))
    assert none.circle.tolist() == [0, 0, 0]


def test_the_loss_of_a_stretch_in_closed_form():
    logits = torch.full((1, 1, 3, 4), -2.0)
    logits[0, 0, 1, 0], logits[0, 0, 2, 1], logits[0, 0, 0, 2] = 3.0, 9.0, 5.0
    stretch = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
    seen = torch.ones(1, 1, 3, 4)
    seen[0, 0, 2, 1] = 0  # what stands out there was not observed
    wanted = (math.log1p(math.exp(-3.0)) + math.log1p(math.exp(2.0))) / 2
    assert stretch_loss(logits, stretch, seen).item() == pytest.approx(wanted, abs=1e-6)
    assert stretch_loss(logits, torch.zeros_like(stretch), seen).item() == 0
    seen[...] = 0
    assert stretch_loss(logits, stretch, seen).item() == 0  # nothing observed, nothing asked


def test_the_loss_of_a_stretch_teaches_its_columns_alone():
    logits = torch.zeros(1, 1, 3, 4, requires_grad=True)
    stretch = torch.tensor([0.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 4)
    stretch_loss(logits + torch.arange(3.0).reshape(1, 1, 3, 1), stretch, torch.ones(1, 1, 3, 4)).backward()
    assert logits.grad is not None
    assert logits.grad.nonzero().tolist() == [[0, 0, 2, 1]]
    assert logits.grad[0, 0, 2, 1] < 0


# -- how they are mixed -----------------------------------------------------------------------------------------------


def test_only_the_split_train_is_shown_and_stretches_give_strips_alone(tmp_path):
    folder = written(tmp_path / "d", by_pixels("a"), by_pixels("b", "val"), by_pixels("c", "test"), by_limb("d"))
    items = LabelledItems(config(tmp_path, folder))
    items.build()
    assert [one.name for one in items.files] == ["a.fits", "d.fits"]
    assert {kind: len(rows) for kind, rows in items.holding.items()} == {"limb": 6, "disk": 3}
    drawn = {int(items.draw("limb", np.random.default_rng(n), 0.5)["levels"][0] * 1e6) for n in range(60)}
    assert len(drawn) == 2
    digests = [json.loads((folder / "dataset.lock").read_text())["files"][f"frames/{name}.fits"] for name in "ad"]
    assert items.seen == sorted(digests)


def test_items_are_cut_once_and_anew_when_the_labels_change(tmp_path):
    folder = written(tmp_path / "d", by_pixels("a"))
    items = LabelledItems(config(tmp_path, folder))
    items.build()
    before = {path: path.stat().st_mtime_ns for path in items.folder.iterdir()}
    again = LabelledItems(config(tmp_path, folder))
    again.build()
    assert before == {path: path.stat().st_mtime_ns for path in again.folder.iterdir()}
    other = LabelledItems(config(tmp_path, written(tmp_path / "e", by_pixels("a", objects=()))))
    assert other.folder != items.folder


def test_their_share_of_what_is_drawn_is_the_one_asked_for(tmp_path):
    folders = written(tmp_path / "d", by_pixels("a")), written(tmp_path / "e", by_limb("b"))
    settings = config(tmp_path, *folders, label_share=0.4, count=3, validation_count=2)
    data = IoData(settings)
    for cache in (data.frames, data.validation):
        cache.folder.mkdir(parents=True)
        cache.make(0)
    data.prepare_data()
    assert data.labelled is not None
    real = {tuple(data.labelled.draw("limb", np.random.default_rng(n), 0.0)["levels"].tolist()) for n in range(80)}
    drawn = Items([data.frames], "limb", 500, True, 0, (), data.labelled)
    share = np.mean([tuple(drawn[k]["levels"].tolist()) in real for k in range(500)])
    assert share == pytest.approx(0.4, abs=0.08)
    batches = next(iter(data.train_dataloader()))[0]
    assert batches["limb"]["stretch"].shape == (settings.optimiser.limb_batch, 1, 1, 64)
    assert len(seen_files(data)) == 2


def test_a_branch_that_gets_nothing_of_them_goes_on_without(tmp_path):
    data = IoData(config(tmp_path, written(tmp_path / "d", by_limb("a")), label_share=1.0, count=2, validation_count=1))
    data.frames.folder.mkdir(parents=True)
    data.frames.make(0)
    assert data.labelled is not None
    data.labelled.build()
    assert Items([data.frames], "disk", 4, True, 0, (), data.labelled)[0]["frame"].shape == (1, 64, 64)
    assert (Items([data.frames], "limb", 40, True, 0, (), data.labelled)[0]["stretch"] > 0).any()


def test_a_dataset_without_frames_to_train_on_is_refused(tmp_path):
    folder = written(tmp_path / "d", by_pixels("a", "test"))
    with pytest.raises(InputError, match="no frame in the split train"):
        LabelledItems(config(tmp_path, folder))


@pytest.mark.parametrize(
    "data", [{"label_share": 1.5}, {"label_share": 0.9, "negative_share": 0.2}, {"labels_each": 0}]
)
def test_shares_that_cannot_be_are_refused(data):
    with pytest.raises(ValidationError, match=r"label_share|labels_each"):
        DataConfig(labels=(Path("d"),), negatives=(Path("x.png"),), **data)


def test_cached_simulated_items_keep_their_form():
    """Caches made before stay valid: a stretch is stored for labelled frames only."""
    assert "stretch" not in (strip_fields(SMALL).names or ())
    assert (strip_fields(SMALL, stretches=True).names or ())[:-1] == strip_fields(SMALL).names


def test_imported_limb_labels_are_learnt_from(tmp_path):
    """From a YAML file to a batch."""
    label_files.write_frame(tmp_path / "archive" / "f1.fits")
    fits.writeto(tmp_path / "archive" / "f1.fits", image(3), overwrite=True)
    turns = np.linspace(0, 5, 6)
    points = [[float(70 + 35 * np.sin(turn)), float(60 - 35 * np.cos(turn))] for turn in turns]
    (tmp_path / "f1_label.yml").write_text(f"plumes: {{intervals: [[1.0, 1.6]]}}\npoints: {points}\n")
    import_labels(tmp_path / "f1_label.yml", "limb-plume-yaml", tmp_path / "archive", tmp_path / "d")
    ((frame, labelled),) = read_dataset(tmp_path / "d").pairs()
    assert labelled.by_limb
    assert labelled.looked_for == CLASSES[:1]
    assert (strip_tensors(a_strip(picture_of(frame, labelled)), None)["stretch"] > 0).sum() == 6
