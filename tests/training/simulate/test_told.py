"""What a file and what kernels tell of a simulated frame: the readers' own answer, and the light on the picture."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from detector.circle import Circle
from detector.expected import sun_of_disk, sun_of_view
from detector.frame import View
from detector.limb_picture import picture_of
from detector.products import find_products
from detector.readers import read_frames
from training.simulate.product import expose
from training.simulate.recipe import INSTRUMENTS, Recipe
from training.simulate.told import KERNELS_OFF_PX, as_filed, by_kernels
from training.simulate.write import write_product

CENTRE = {"centre_x_px", "centre_y_px", "centre_sigma_px"}


def numbers(view: View) -> dict[str, float]:
    return {f.name: getattr(view, f.name) for f in fields(View) if isinstance(getattr(view, f.name), float)}


@pytest.mark.parametrize("kind", INSTRUMENTS)
def test_a_frame_is_told_what_its_reader_reads(tmp_path: Path, kind: str) -> None:
    for index in range(4):
        product = expose(kind, Recipe(no_limb=0.0), 47, index)
        read = {f.id: f for found in find_products([write_product(tmp_path, product)]) for f in read_frames(found)}
        for sample in product.samples:
            frame, told = read[sample.frame.id], as_filed(sample.frame)
            assert (told.view.source, told.view.target) == (frame.view.source, frame.view.target)
            assert told.view.mirrored == frame.view.mirrored
            for name, value in numbers(frame.view).items():
                if name not in CENTRE | {"phase_deg"}:  # SSI's centre is 30 px off; the phase follows from the rest
                    assert getattr(told.view, name) == pytest.approx(value, rel=2e-4, abs=2e-3, nan_ok=True), name


def test_kernels_say_where_the_light_comes_from_on_mirrored_pictures_too() -> None:
    seen = 0
    for index in range(60):
        sample = expose("jiram", Recipe(no_limb=0.0, eclipse=0.0, only=()), 48, index).samples[0]
        limb, view = sample.limb, by_kernels(sample.frame, np.random.default_rng(index)).view
        if not limb.trusted:
            continue
        assert math.hypot(view.centre_x_px - limb.x_px, view.centre_y_px - limb.y_px) < 6 * KERNELS_OFF_PX
        known = sun_of_view(view)
        circle = Circle(limb.x_px, limb.y_px, limb.radius_px)
        apparent, likeness = sun_of_disk(picture_of(sample.frame).linear, circle)
        if apparent is None or known is None or likeness < 0.8 or limb.radius_px < 15:
            continue
        seen += 1
        assert math.degrees(math.acos(float(np.clip(known @ apparent, -1, 1)))) < 30
    assert seen >= 5
