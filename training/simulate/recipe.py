"""What kind of pictures to draw, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from detector.errors import InputError
from training.simulate.dice import EFFECTS

INSTRUMENTS = ("ssi", "junocam", "jiram", "sru", "picture")
MIXED_SHARES = (0.24, 0.12, 0.18, 0.06, 0.40)


@dataclass(frozen=True)
class Recipe:
    """What to draw.

    Attributes:
        instrument: one of ``INSTRUMENTS`` (``picture``: any framing camera, often processed) or ``mixed``.
        shape: rows and columns of the picture.
        radius_px: range of the disk's radius, drawn log-uniformly. usual_radius_px: where two thirds of them lie.
        phase_deg: range of the phase angle.
        plume_snr, hotspot_snr: ranges of ``snr_mf`` that objects are scaled to, log-uniformly, within what is physical.
        natural: share of objects that stay as the published populations have them.
        plumes, hotspots: largest numbers in a picture; hot spots of JIRAM five times as many.
        empty: share of pictures without any eruption.
        eclipse: share of visible-light pictures taken in Jupiter's shadow, where hot spots and glows are all there is.
        no_limb: share of pictures without Io's limb (close-ups, Jupiter, other moons, blank sky).
        families, place: of plumes: keys of ``plumes.FAMILIES`` (none: all), and where their vents lie.
        spot_shapes: of hot spots: some of ``hotspots.SHAPES``, at least 20 km across; none = as common as they are.
        only, without: effects (see ``dice.EFFECTS``) that alone may show, or that never do.

    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")  # a misspelt setting is refused, not passed over

    instrument: str = "mixed"
    shape: tuple[int, int] = (256, 256)
    radius_px: tuple[float, float] = (8.0, 900.0)
    usual_radius_px: tuple[float, float] = (40.0, 240.0)
    phase_deg: tuple[float, float] = (0.0, 175.0)
    plume_snr: tuple[float, float] = (4.0, 1500.0)
    hotspot_snr: tuple[float, float] = (3.0, 400.0)
    natural: float = 0.25
    plumes: int = 3
    hotspots: int = 3
    empty: float = 0.15
    eclipse: float = 0.12
    no_limb: float = 0.08
    families: tuple[str, ...] = ()
    place: str = "any"
    spot_shapes: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.instrument not in (*INSTRUMENTS, "mixed"):
            raise ValueError(f"instrument {self.instrument!r} is not one of {', '.join(INSTRUMENTS)} or mixed")
        unknown = {*(self.only or ()), *self.without} - EFFECTS.keys()
        if unknown:
            raise ValueError(f"unknown effects {', '.join(sorted(unknown))}; expected some of {', '.join(EFFECTS)}")


def read_recipe(config: Path | None) -> Recipe:
    """The recipe of a YAML file that names the fields to change; the plain one for None.

    Raises:
        InputError: the file cannot be read, or says what is no recipe.

    """
    if config is None:
        return Recipe()
    try:
        return TypeAdapter(Recipe).validate_python(yaml.safe_load(config.read_text()) or {})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise InputError(config, f"not a recipe for simulated frames: {error}") from error
