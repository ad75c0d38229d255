"""The limb network: a ring stays a ring, gaps are no numbers, and nothing depends on brightness alone."""

from __future__ import annotations

import pytest
import torch

from detector.limb_strip import COLUMNS, ROWS, WIDE_ROWS
from models.limb_network import LimbNetwork


@pytest.fixture(scope="module")
def network() -> LimbNetwork:
    torch.manual_seed(3)
    return LimbNetwork().eval()


def strips(count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    near = torch.rand(count, ROWS, COLUMNS, generator=generator)
    wide = torch.rand(count, WIDE_ROWS, COLUMNS, generator=generator)
    facts = torch.tensor([[8.0, 80.0, 60.0, 2.0, 1.0, 0.1, 2 * torch.pi / COLUMNS, 1.2]]).repeat(count, 1)
    return near, wide, facts


@pytest.mark.parametrize("columns", [1, 37, 64])
def test_where_the_ring_is_cut_open_does_not_matter(network: LimbNetwork, columns: int) -> None:
    near, wide, facts = strips()
    rolled = facts.clone()
    rolled[:, 5] += columns * facts[:, 6]
    with torch.no_grad():
        one = network(near, wide, facts)
        other = network(near.roll(-columns, -1), wide.roll(-columns, -1), rolled)
    for k in range(3):
        torch.testing.assert_close(other[k], one[k].roll(-columns, -1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(other[3], one[3], atol=1e-4, rtol=1e-4)


def test_what_is_not_seen_gives_numbers_all_the_same(network: LimbNetwork) -> None:
    near, wide, facts = strips()
    near[0, :, :50] = torch.nan
    near[1], wide[1] = torch.nan, torch.nan
    with torch.no_grad():
        said = network(near, wide, facts)
    assert all(torch.isfinite(part).all() for part in said)
    assert said[0].abs().max() < 2
    assert (said[1] > 0).all()
    assert ((said[2] >= 0) & (said[2] <= 1)).all()
