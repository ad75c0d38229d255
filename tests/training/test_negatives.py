"""Real frames without eruptions as training items: everything on them is background, and some are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from training.config import TrainConfig, load_config
from training.data import IoData, Items
from training.negatives import negatives

TINY = Path(__file__).parents[2] / "training/configs/tiny.yaml"


def picture(folder: Path) -> Path:
    """A disk on dark sky."""
    y, x = np.mgrid[:200, :260]
    disk = 120 * (np.hypot(x - 130, y - 100) < 60) + np.random.default_rng(0).normal(10, 1, (200, 260))
    path = folder / "quiet.png"
    Image.fromarray(disk.astype(np.uint8)).save(path)
    return path


def config(folder: Path, share: float) -> TrainConfig:
    settings = [f"data.cache={folder / 'cache'}", f"data.negatives=[{picture(folder)}]", "data.negatives_each=3"]
    return load_config(TINY, [*settings, f"data.negative_share={share}"])


def test_nothing_on_them_is_an_eruption_and_nothing_of_the_limb_is_left_out(tmp_path: Path) -> None:
    items = negatives([picture(tmp_path)], config(tmp_path, 0.5), 3, seed=1)
    assert {kind: len(some) for kind, some in items.items()} == {"limb": 3, "disk": 3}
    for strip, crop in zip(items["limb"], items["disk"], strict=True):
        assert not strip["target"].any()
        assert not strip["ignored"].any()
        assert not strip["holds"]
        assert not crop["target"].any()
        assert not crop["ignored"][1].any()  # no spot is left out; a plume before the disk nobody can rule out
        assert crop["ignored"][0].any()


def test_their_share_of_what_is_drawn_is_the_one_asked_for(tmp_path: Path) -> None:
    settings = config(tmp_path, 0.3)
    data = IoData(settings)
    data.prepare_data()
    quiet = data.negatives["limb"]
    levels = {tuple(item["levels"].tolist()) for item in quiet}
    drawn = Items([data.frames], "limb", 400, True, 0, quiet)
    share = np.mean([tuple(drawn[k]["levels"].tolist()) in levels for k in range(400)])
    assert 0.2 < share < 0.4
    assert data.negatives["limb"] is quiet
