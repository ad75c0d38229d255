"""Chance, by name: every decision about a picture has its own stream of random numbers.

A stream depends on the seed, the index of the picture and the name of the decision alone. So an effect can be switched
on or off without changing anything else in the picture, and one seed gives the same bytes however the work is shared.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator

EFFECTS: dict[str, str] = {
    # the body
    "mountains": "peaks up to 17 km break the limb",
    "opposition_surge": "the disk brightens towards zero phase",
    "frost_forward": "poles and frost brighten with the phase angle",
    "glint": "a small patch mirrors the Sun",
    "jupiter_shine": "Jupiter lights the night side that faces it",
    "eclipse": "Io in Jupiter's shadow: what glows is all there is",
    "auroral_limb": "the atmosphere glows along the limb in eclipse",
    "plume_deposit": "a ring of dark or red fallout on the ground",
    # the sky
    "stars": "point sources",
    "moon": "another moon, or several",
    "jupiter": "Jupiter's limb and clouds beside or behind Io",
    "ring": "a thin bright band",
    "inset": "a second picture set into the first",
    "gradient": "a smooth background",
    "scattered_light": "light spread far by the optics",
    "ghost": "a faint displaced copy",
    # radiation and damage, any camera
    "hits": "radiation hits: single pixels",
    "tracks": "radiation hits that graze the detector: straight streaks",
    "clusters": "radiation hits of several pixels, round like a hot spot",
    "hot_columns": "single columns brighter than their neighbours",
    "dropped_lines": "lines that never came down",
    "margins": "only a window of the picture came down",
    # Galileo SSI
    "summation": "2 x 2 pixels summed on the chip",
    "adc_bins": "unequal steps of the 8-bit converter",
    "shutter_smear": "the scene moved while the shutter was open",
    "ict": "lossy 8 x 8 integer cosine transform (JunoCam too)",
    "barc": "rate control cuts the ends of busy lines",
    "cut_out": "only a window was kept; zeros outside",
    "on_chip_mosaic": "several exposures on one frame",
    "garbled_lines": "lines of shifted or senseless data",
    "blemishes": "pixels that are always low or high",
    "bleeding": "a saturated pixel floods its column",
    # JunoCam
    "tdi": "rows summed while the spacecraft turns: smear along the columns when the rate is off",
    "seams": "framelets a little off one another in place and brightness",
    "late_damage": "speckle, banding and lost sensitivity of the late orbits",
    "blooming": "charge spills from saturated pixels",
    # JIRAM
    "odd_even": "alternating columns answer differently",
    "hot_pixels": "pixels that are always bright, alone or in clusters (JunoCam: streaks)",
    "negative_floor": "the background was subtracted too far",
    "jiram_smear": "the despinning mirror was off: streaks along the lines",
    # SRU
    "column_offsets": "every column has a zero of its own (JunoCam too)",
    # any framing camera, and what is done to pictures afterwards
    "vidicon": "pedestal, gradient and soft corners of a vidicon tube",
    "fiducials": "a grid of dark marks",
    "stretch": "black and white points moved for display",
    "clip": "the brightest surface cut off at white",
    "gamma": "a tone curve",
    "sharpen": "unsharp masking: dark and bright rims",
    "jpeg": "8 x 8 blocks of lossy compression",
}
"""Everything that may or may not be in a picture, and what it is."""


@dataclass(frozen=True)
class Dice:
    """The chances of one picture.

    Attributes:
        seed, index: of the set and of the picture in it; 0 or more.
        path: keeps the streams of parts of one picture apart (the bands of one moment).
        only: when given, effects outside it never show and those inside always do.
        without: effects that never show.

    """

    seed: int
    index: int
    path: str = ""
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = {*(self.only or ()), *self.without} - EFFECTS.keys()
        if unknown:
            raise ValueError(f"unknown effects {sorted(unknown)}; expected some of {', '.join(EFFECTS)}")

    def rng(self, what: str) -> Rng:
        """The stream of a decision that is always taken."""
        return np.random.default_rng([self.seed, self.index, zlib.crc32(f"{self.path}/{what}".encode())])

    def effect(self, name: str, probability: float) -> Rng | None:
        """The stream of an effect that shows in this picture; None when it does not.

        Args:
            name: a key of ``EFFECTS``.
            probability: how often it shows when nothing is forced.

        """
        if name not in EFFECTS:
            raise ValueError(f"{name!r} is not one of the effects {', '.join(EFFECTS)}")
        shows = self._fraction(name) < probability if self.only is None else name in self.only
        return self.rng(name) if shows and name not in self.without else None

    def _fraction(self, what: str) -> float:
        """A number from 0 to 1 as good as random: far cheaper than a stream, and most effects do not show."""
        key = f"{self.seed}/{self.index}{self.path}/{what}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=7).digest()) / 2**56

    def part(self, name: str) -> Dice:
        """Chances of a part of the same picture: the same effects on and off, other streams."""
        return Dice(self.seed, self.index, f"{self.path}/{name}", self.only, self.without)


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is evenly spread from ``low`` to ``high`` (both > 0)."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
