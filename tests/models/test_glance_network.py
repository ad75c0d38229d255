"""The glance network: cells' circles by closed form, gaps are no numbers, any picture's shape."""

from __future__ import annotations

import math

import pytest
import torch

from detector.limb_thumb import CELL_PX, STEP_PX
from models.glance_network import FARTHEST, USUAL_PX, GlanceNetwork, _circles, standing_out


@pytest.fixture(scope="module")
def network() -> GlanceNetwork:
    torch.manual_seed(3)
    return GlanceNetwork().eval()


def test_a_cells_circle_lies_inward_of_it_by_radius_less_distance() -> None:
    said = torch.zeros(1, 5, 4, 6)
    said[0, 1:, 2, 3] = torch.tensor([0.6, -0.8, 0.5, math.log(2.0)])
    x, y, r = (float(side) for side in _circles(said)[0, :, 2, 3])
    assert r == pytest.approx(2 * USUAL_PX)
    away = 2 * USUAL_PX - 0.5 * CELL_PX
    assert (x, y) == pytest.approx((3.5 * CELL_PX - 0.5 + 0.6 * away, 2.5 * CELL_PX - 0.5 - 0.8 * away), abs=0.01)


@pytest.mark.parametrize(("rows", "columns"), [(STEP_PX, STEP_PX), (128, 576), (160, 480)])
def test_every_cell_of_any_picture_has_an_answer(network: GlanceNetwork, rows: int, columns: int) -> None:
    view = torch.rand(2, rows, columns)
    view[0, :, : columns // 2] = torch.nan
    view[1] = torch.nan
    with torch.no_grad():
        worth, circle = network(view, torch.tensor([[50.0, 2.0, 0.0], [5.0, 2.0, 33.0]]))
    assert worth.shape == (2, rows // CELL_PX, columns // CELL_PX)
    assert circle.shape == (2, 3, rows // CELL_PX, columns // CELL_PX)
    assert torch.isfinite(worth).all()
    assert torch.isfinite(circle).all()
    assert (circle[:, 2] > 0).all()


def test_the_radius_that_is_told_makes_a_difference(network: GlanceNetwork) -> None:
    view = torch.rand(1, 64, 64)
    with torch.no_grad():
        silent, told = (network(view, torch.tensor([[50.0, 2.0, r]]))[1] for r in (0.0, 80.0))
    assert not torch.allclose(silent, told)


def test_a_disk_before_jupiter_stands_out_as_one_before_the_sky() -> None:
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(160), indexing="ij")
    disk = (torch.hypot(columns - 70.0, rows - 60.0) < 30).float()
    before_sky, before_jupiter = disk[None, None], 0.9 - 0.1 * disk[None, None]
    known = torch.ones(1, 1, 128, 160)
    plain = standing_out(before_sky, known, torch.tensor([1e4]))
    faint = standing_out(before_jupiter, known, torch.tensor([1e4]))
    assert float(plain.abs().max()) > 1
    assert torch.allclose(faint, -plain, atol=0.05)
    assert float(standing_out(torch.full_like(known, 0.7), known, torch.tensor([50.0])).abs().max()) < 1e-3


def test_gaps_do_not_stand_out_and_take_nothing_from_what_does() -> None:
    view = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    view[..., 20:] += 3
    known = torch.ones_like(view)
    whole = standing_out(view, known, torch.tensor([100.0]))
    known[..., 30:34, :8] = 0
    cut = standing_out(view * known, known, torch.tensor([100.0]))
    assert (cut[known == 0] == 0).all()
    assert torch.allclose(cut[..., 48:], whole[..., 48:], atol=1e-5)
    assert torch.allclose(cut[known == 1], whole[known == 1], atol=0.2)
    assert float(whole.abs().max()) <= FARTHEST
