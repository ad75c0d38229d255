"""Io's disk: sunlight and Jupiter's light scattered by the ground, mountains, and the glow of the limb in eclipse.

Photometry: Simonelli & Veverka 1984 (Minnaert), McEwen 1991 (lunar-Lambert), Hapke 1981; how strong each is, as
recalled. The limb is exact (``Geometry.inward_px``) and its pixels are shared by area.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.frame import IO_RADIUS_KM
from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.geometry import Array, Geometry, Sight, direction
from training.simulate.light import Image
from training.simulate.surface import Deposit, draw_deposit, log_pattern, normal_reflectance, texel_km, texture

JUPITER_RADIUS_RAD = math.radians(19.5 / 2)
"""Half of the angle that Jupiter subtends at Io."""
JUPITER_ALBEDO = np.array(
    [
        (0.35, 0.30),
        (0.404, 0.38),
        (0.48, 0.48),
        (0.559, 0.52),
        (0.65, 0.50),
        (0.70, 0.46),
        (0.734, 0.33),
        (0.756, 0.47),
        (0.887, 0.08),
        (0.94, 0.42),
        (0.986, 0.30),
        (2.0, 0.05),
        (3.455, 0.01),
        (5.0, 0.01),
    ]
)
"""Wavelength in um and full-disk albedo of Jupiter, with methane's bands (Karkoschka 1994, as recalled)."""

DARKENING = np.array([(0.40, 0.50), (0.56, 0.58), (0.67, 0.65), (1.0, 0.70), (5.0, 0.70)])
"""Wavelength in um and Minnaert exponent k near zero phase: 0.5 in violet, 0.6-0.7 in red (Simonelli & Veverka 1984,
as recalled)."""
LAWS = ("minnaert", "lunar", "hapke")
MU_FLOOR = 0.12
"""Minnaert's law overestimates what is seen more obliquely than this."""
FADING_ENDS_DEG = 100.0
SURGE_HALF_WIDTH = 0.02
"""tan(phase / 2) at which the opposition surge has halved."""
TALLEST_KM = 17.0
MASSIFS = 115
BOX_STEP_PX = 8
FINE_RADIUS = 40
"""Pixels of disks smaller than this are cut into parts until the radius is this many."""
LOW_SUN = (-0.12, 0.25)
"""Cosines of the Sun's angle between which mountains are seen by their light and shade."""
LEAST_HEIGHT_KM = 10.0
"""No camera is closer to the ground: a lens that looks behind itself would say so."""
SHADED_KM = 5.0
"""Lower mountains than this are left as the map has them."""


@dataclass(frozen=True)
class Surface:
    """How this scene's surface scatters. The plain one is Io's as the facts have it, without anything special.

    Attributes:
        brightness: factor on the normal reflectance of the wavelength; 0 is a black ball.
        contrast: exponent on the map's pattern; 0 is a uniform ball.
        law: one of ``LAWS``.
        darkening: added to the wavelength's Minnaert exponent k; the other laws follow it.
        stiffening: 0..1: how far k has gone to 1 (a Lambert surface) at a phase of 110 degrees.
        fading: magnitudes a degree of phase up to 100 degrees, beyond what the law says.
        surge: share by which 0.5 degrees of phase is brighter than 4.1 degrees; 0.13 in green.
        frost: share by which the poles brighten, and half of it by which the equator darkens, at a phase of 180.
        glint_km, glint: radius of a patch that mirrors the Sun and its peak in I/F; it is where it must be to do so.
        deposits: fallout of plumes.
        mountains: seed of the massifs, None = a smooth ellipsoid.
        roughness: share by which texture finer than the map changes the brightness, in close-ups.
        seed: of the texture and of where the glint's patch lies.
        jupiter_shine: factor on the light that Jupiter really throws on Io's night side (0.014 of the Sun's times
            albedo when it is full).
        sunlight: factor on the Sun's light: 1 by day, 0 or next to nothing in Jupiter's shadow.

    """

    brightness: float = 1.0
    contrast: float = 1.0
    law: str = "minnaert"
    darkening: float = 0.0
    stiffening: float = 0.0
    fading: float = 0.0
    surge: float = 0.0
    frost: float = 0.0
    glint_km: float = 0.0
    glint: float = 0.0
    deposits: tuple[Deposit, ...] = ()
    mountains: int | None = None
    roughness: float = 0.0
    seed: int = 0
    jupiter_shine: float = 0.0
    sunlight: float = 1.0


def draw_surface(dice: Dice, wavelength_um: float) -> Surface:
    """A surface at random. The same dice give the same ground at every wavelength.

    Args:
        dice: of the picture.
        wavelength_um: effective wavelength; beyond 1.1 um levels are less well known and vary more.

    """
    rng = dice.rng("surface")
    spread = math.log(1.25) if wavelength_um < 1.1 else math.log(1.7)
    surge = dice.effect("opposition_surge", 0.8)
    frost = dice.effect("frost_forward", 0.6)
    glint = dice.effect("glint", 0.02)
    deposit = dice.effect("plume_deposit", 0.35)
    shine = dice.effect("jupiter_shine", 0.8)
    mountains = dice.effect("mountains", 0.85)
    return Surface(
        brightness=math.exp(rng.uniform(-spread, spread)),
        contrast=rng.uniform(0.7, 1.7),
        law=str(rng.choice(LAWS, p=(0.5, 0.25, 0.25))),
        darkening=rng.uniform(-0.08, 0.1),
        stiffening=rng.uniform(0.3, 1.0),
        fading=rng.uniform(0.0, 0.008),
        roughness=log_uniform(rng, 0.01, 0.06),
        seed=int(rng.integers(2**31)),
        surge=surge.uniform(0.09, 0.17) if surge else 0.0,
        frost=frost.uniform(0.05, 0.6) if frost else 0.0,
        glint_km=log_uniform(glint, 5, 60) if glint else 0.0,
        glint=log_uniform(glint, 0.1, 3) if glint else 0.0,
        deposits=tuple(draw_deposit(deposit) for _ in range(deposit.integers(1, 4))) if deposit else (),
        mountains=int(mountains.integers(2**31)) if mountains else None,
        jupiter_shine=log_uniform(shine, 0.5, 1.5) if shine else 0.0,
    )


# -- the picture of the disk ----------------------------------------------------------------------------------------


def disk_light(
    geometry: Geometry, surface: Surface, shape: tuple[int, int], wavelength_um: float
) -> tuple[Image, Image]:
    """Io's disk before the optics.

    Args:
        geometry: where Io is.
        surface: how it scatters.
        shape: rows and columns of the picture.
        wavelength_um: effective wavelength of the band.

    Returns:
        I/F (H, W) float32 and the share of each pixel that the body hides, 0..1, (H, W) float32; both 0 off the disk.

    """
    image, cover = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    box = _box(geometry, shape, 0.0 if surface.mountains is None else TALLEST_KM)
    if box is None:
        return image, cover
    finer = min(max(1, math.ceil(FINE_RADIUS / geometry.radius_px)), 16)
    rows, columns = box
    sight = geometry.sight(_fine(columns, finer)[None], _fine(rows, finer)[:, None])
    hidden = _cover(geometry, surface, sight)
    light = hidden * _shade(geometry, surface, sight, wavelength_um)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    if finer > 1:
        light = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
        hidden = cv2.resize(hidden, size, interpolation=cv2.INTER_AREA)
    image[box], cover[box] = light, hidden
    return image, cover


def _fine(pixels: slice, finer: int) -> Array:
    """Centres of the parts of a run of pixels, each cut into ``finer``."""
    count = (pixels.stop - pixels.start) * finer
    return (np.arange(count) + 0.5) / finer - 0.5 + pixels.start


def _box(geometry: Geometry, shape: tuple[int, int], reach_km: float) -> tuple[slice, slice] | None:
    """Rows and columns that may hold a pixel within ``reach_km`` above the limb; None when none does.

    Asked of every 8th pixel, so that any lens will do; what lies between two of them is at most a few steps further.
    """
    rows = np.arange(0, shape[0] + BOX_STEP_PX - 1, BOX_STEP_PX, dtype=np.float64)
    columns = np.arange(0, shape[1] + BOX_STEP_PX - 1, BOX_STEP_PX, dtype=np.float64)
    x, y = np.broadcast_arrays(*geometry.offsets(columns[None], rows[:, None]))
    inward = geometry.inward_px(x, y)
    stretch = np.hypot(*np.gradient(x)) + np.hypot(*np.gradient(y)) if min(x.shape) > 1 else BOX_STEP_PX
    near = inward > -_altitude_px(geometry, reach_km) - np.nan_to_num(stretch, posinf=0) - 2
    if not near.any():
        return None
    box = _span(near.any(1), shape[0], BOX_STEP_PX), _span(near.any(0), shape[1], BOX_STEP_PX)
    return box if geometry.radius_px > FINE_RADIUS else _tight(geometry, box, reach_km)


def _tight(geometry: Geometry, box: tuple[slice, slice], reach_km: float) -> tuple[slice, slice] | None:
    """The smallest part of a rectangle that holds everything."""
    rows, columns = (np.arange(side.start, side.stop, dtype=np.float64) for side in box)
    inward = geometry.inward_px(*geometry.offsets(columns[None], rows[:, None]))
    near = inward > -_altitude_px(geometry, reach_km) - 2
    if not near.any():
        return None
    down, across = _span(near.any(1), rows.size, 1), _span(near.any(0), columns.size, 1)
    return (
        slice(box[0].start + down.start, box[0].start + down.stop),
        slice(box[1].start + across.start, box[1].start + across.stop),
    )


def _span(near: NDArray[np.bool_] | np.bool_, size: int, step: int) -> slice:
    """From a step before the first True to a step after the last."""
    where = np.flatnonzero(near)
    return slice(max((int(where[0]) - 1) * step, 0), min((int(where[-1]) + 1) * step + 1, size))


def _altitude_px(geometry: Geometry, altitude_km: float) -> float:
    """How far from the limb, in the ideal plane, what is seen above it at an altitude appears."""
    raised = math.asin(min((IO_RADIUS_KM + altitude_km) / geometry.range_km, 0.9999))
    return math.tan(raised) / geometry.ifov_rad - geometry.radius_px


def _cover(geometry: Geometry, surface: Surface, sight: Sight) -> Image:
    """(H, W): share of each pixel inside the limb and its mountains, which is there a straight line."""
    inward = np.maximum(sight.inward_px, np.float32(-1e6))
    if surface.mountains is not None:
        inward = inward + _relief_px(geometry, surface.mountains, sight)
    steep_y, steep_x = (np.abs(step) for step in np.gradient(inward)) if min(inward.shape) > 1 else (1.0, 0.0)
    steep = np.maximum(np.hypot(steep_x, steep_y), np.float32(1e-6))
    edge = np.abs(inward) <= steep
    cover = (inward > 0).astype(np.float32)
    cover[edge] = _share(inward[edge] / steep[edge], (steep_x / steep)[edge], (steep_y / steep)[edge])
    return cover


def _share(inward: Image, normal_x: Image, normal_y: Image) -> Image:
    """Share of the unit square on the inner side of a line ``inward`` from its centre; normals are absolute values."""
    long, short = np.maximum(normal_x, normal_y), np.maximum(np.minimum(normal_x, normal_y), np.float32(1e-4))
    off = np.abs(inward)
    straight = off / long
    corner = np.maximum((long + short) / 2 - off, 0)
    beyond = np.where(off < (long - short) / 2, straight, 0.5 - corner * corner / (2 * long * short))
    return np.asarray(0.5 + np.sign(inward) * np.minimum(beyond, 0.5), np.float32)


# -- light ----------------------------------------------------------------------------------------------------------


def _shade(geometry: Geometry, surface: Surface, sight: Sight, wavelength_um: float) -> Image:
    """(H, W) I/F of the ground that each pixel sees."""
    jupiter = geometry.rotation @ direction(0, 0)
    shine = surface.jupiter_shine * jupiter_strength(geometry, wavelength_um)
    if surface.brightness <= 0 or max(surface.sunlight, shine) < 1e-10:
        return np.zeros(sight.mu.shape, np.float32)
    sun_up = _cosine(geometry, sight, geometry.sun)
    pattern, roughened = _ground(geometry, surface, sight, sun_up, wavelength_um)
    light = np.zeros(sight.mu.shape, np.float32)
    if surface.sunlight > 0:
        if surface.mountains is not None:
            roughened = _massifs_lit(geometry, surface.mountains, sight, sun_up, roughened)
        light += surface.sunlight * _scattered(
            surface, roughened, sight.mu, geometry.phase_deg, (wavelength_um, pattern)
        )
        if surface.glint > 0:
            light += surface.sunlight * _glint(geometry, surface, sight)
    if shine > 1e-10:
        up = _softened(_cosine(geometry, sight, jupiter))
        phase = math.degrees(math.acos(np.clip(jupiter[2], -1, 1)))
        light += shine * _scattered(surface, up, sight.mu, phase, (wavelength_um, pattern))
    return light


def _cosine(geometry: Geometry, sight: Sight, light: Array) -> Image:
    """Cosine of the angle between the ground's normal and a direction (camera's frame); below 0 by night."""
    return _dot(geometry.metric @ light, sight.points) * sight.steepness


def _dot(axis: Array, points: tuple[Image, ...]) -> Image:
    """Scalar product of one vector (3,) and the vectors of x, y, z (H, W) each."""
    x, y, z = (np.float32(c) for c in axis)
    return np.asarray(x * points[0] + y * points[1] + z * points[2], np.float32)


def _softened(cosine: Image) -> Image:
    """The mean of the cosine over Jupiter's disk, of which some may have set."""
    radius = math.sin(JUPITER_RADIUS_RAD)
    rising = np.clip(cosine + np.float32(radius), 0, 2 * radius)
    return np.maximum(cosine, rising * rising / np.float32(4 * radius)).astype(np.float32)


def jupiter_strength(geometry: Geometry, wavelength_um: float) -> float:
    """Light of Jupiter on Io relative to the Sun's: its albedo, the angle it subtends, and its phase seen from Io."""
    from_sun = math.acos(float(np.clip(-direction(*geometry.sub_solar)[0], -1, 1)))
    lit = (math.sin(from_sun) + (math.pi - from_sun) * math.cos(from_sun)) / math.pi
    albedo = float(np.interp(wavelength_um, JUPITER_ALBEDO[:, 0], JUPITER_ALBEDO[:, 1]))
    return albedo * math.sin(JUPITER_RADIUS_RAD) ** 2 * lit


def surge_at(surge: float, phase_deg: float) -> float:
    """Brightness of the opposition surge relative to none: (1 + ``surge``) from 4.1 to 0.5 degrees of phase."""
    shape = [1 / (1 + math.tan(math.radians(a) / 2) / SURGE_HALF_WIDTH) for a in (0.5, 4.1, phase_deg)]
    amplitude = surge / (shape[0] - (1 + surge) * shape[1])
    return 1 + amplitude * shape[2]


def _scattered(surface: Surface, mu0: Image, mu: Image, phase_deg: float, ground: tuple[float, Image]) -> Image:
    """I/F of ground of a brightness (wavelength; logarithm relative to the median) in unit light from one direction."""
    wavelength_um, pattern = ground
    level = surface.brightness * normal_reflectance(wavelength_um) * surge_at(surface.surge, phase_deg)
    if surface.law != "hapke":
        level *= 10 ** (-0.4 * surface.fading * min(phase_deg, FADING_ENDS_DEG))
    k = surface.darkening + float(np.interp(wavelength_um, DARKENING[:, 0], DARKENING[:, 1]))
    k += (1 - k) * surface.stiffening * min(phase_deg / 110, 1)
    mu0 = np.maximum(mu0, 0)
    if surface.law == "minnaert":
        light = minnaert(mu0, mu, k)
    elif surface.law == "lunar":
        light = lunar_lambert(mu0, mu, 2 * (1 - k))
    else:
        light = hapke(mu0, mu, phase_deg, min(normal_reflectance(wavelength_um) * surface.brightness, 0.85))
    return np.minimum(np.float32(level) * cv2.exp(pattern), np.float32(1.3)) * light


def minnaert(mu0: Image, mu: Image, k: float) -> Image:
    """mu0^k mu^(k-1), with mu no less than ``MU_FLOOR``."""
    sun, camera = cv2.log(np.maximum(mu0, 1e-12)), cv2.log(np.maximum(mu, MU_FLOOR))
    return np.where(mu0 > 0, cv2.exp(np.float32(k) * sun + np.float32(k - 1) * camera), np.float32(0))


def lunar_lambert(mu0: Image, mu: Image, lunar: float) -> Image:
    """2 L mu0 / (mu0 + mu) + (1 - L) mu0, 1 for light and camera straight above."""
    lunar = min(max(lunar, 0.0), 1.0)
    return mu0 * (np.float32(2 * lunar) / np.maximum(mu0 + mu, np.float32(0.05)) + np.float32(1 - lunar))


def hapke(mu0: Image, mu: Image, phase_deg: float, normal: float) -> Image:
    """Hapke's (1981) law without surge, 1 for light and camera straight above.

    The single-scattering albedo is that of a surface of the given normal reflectance; particles scatter as one
    Henyey-Greenstein lobe of asymmetry -0.2.
    """
    albedos = np.linspace(0.02, 0.995, 200)
    bright = albedos / 8 * (_lobe(0) + _chandrasekhar(1.0, albedos) ** 2 - 1)
    w = float(np.interp(normal, bright, albedos))
    at_normal = w / 8 * (_lobe(0) + _chandrasekhar(1.0, w) ** 2 - 1)
    many = _chandrasekhar(mu0, w) * _chandrasekhar(mu, w) - 1 + np.float32(_lobe(phase_deg))
    return np.asarray(many * mu0 / np.maximum(mu0 + mu, np.float32(0.02)) * np.float32(w / 4 / at_normal), np.float32)


def _lobe(phase_deg: float, asymmetry: float = -0.2) -> float:
    cosine = -math.cos(math.radians(phase_deg))  # of the scattering angle
    return (1 - asymmetry**2) / (1 + asymmetry**2 - 2 * asymmetry * cosine) ** 1.5


def _chandrasekhar(cosine: Image | float, w: Array | float) -> Image:
    """Hapke's H function."""
    gamma = np.sqrt(1 - np.asarray(w, np.float32))
    return np.asarray((1 + 2 * cosine) / (1 + 2 * cosine * gamma), np.float32)


def _glint(geometry: Geometry, surface: Surface, sight: Sight) -> Image:
    """(H, W) I/F of a smooth patch, about where Io mirrors the Sun."""
    rng = np.random.default_rng(surface.seed)
    camera = np.array([0, 0, geometry.range_km / IO_RADIUS_KM])
    mirror = np.array([0.0, 0, 1])
    for _ in range(6):
        mirror = geometry.sun + (camera - mirror) / np.linalg.norm(camera - mirror)
        mirror = mirror / max(np.linalg.norm(mirror), 1e-9)
    off = rng.normal(0, 0.3 * surface.glint_km / IO_RADIUS_KM, 3)
    away = sum((c - np.float32(m + o)) ** 2 for c, m, o in zip(sight.points, mirror, off, strict=True))
    size = np.float32(surface.glint_km / IO_RADIUS_KM)
    return np.asarray(surface.glint * np.exp(-away / (size * size)) * (sight.mu > 0), np.float32)


# -- ground ---------------------------------------------------------------------------------------------------------


def _ground(
    geometry: Geometry, surface: Surface, sight: Sight, sun_up: Image, wavelength_um: float
) -> tuple[Image, Image]:
    """Logarithm of the brightness relative to the median, and the Sun's cosine with the fine relief, each (H, W)."""
    km_per_px = _finest_km(geometry, sight)
    if surface.contrast > 0:
        pattern = np.float32(surface.contrast) * log_pattern(sight.body, wavelength_um, km_per_px)
    else:
        pattern = np.zeros(sight.mu.shape, np.float32)
    for deposit in surface.deposits:
        pattern = pattern + cv2.log(deposit.transmitted(sight.body, wavelength_um))
    if surface.frost > 0:
        share = surface.frost * math.sin(math.radians(geometry.phase_deg) / 2) ** 2
        pattern = pattern + np.float32(share) * (1.5 * sight.body[2] ** 2 - np.float32(0.5))
    octaves = math.log2(texel_km() / km_per_px)
    if octaves > 0 and surface.roughness > 0 and surface.contrast > 0:
        return _roughened(geometry, surface, sight, (pattern, sun_up), (km_per_px, octaves))
    return pattern, sun_up


def _finest_km(geometry: Geometry, sight: Sight) -> float:
    """Size on the ground of a pixel of the rectangle where Io is closest."""
    step = abs(float(sight.x_px[0, -1] - sight.x_px[0, 0])) / max(sight.x_px.shape[1] - 1, 1)
    nearest_km = max(geometry.range_km - IO_RADIUS_KM * float(sight.points[2].max()), LEAST_HEIGHT_KM)
    return nearest_km * geometry.ifov_rad * max(step, 1e-3)


def _roughened(
    geometry: Geometry,
    surface: Surface,
    sight: Sight,
    smooth: tuple[Image, Image],
    scale: tuple[float, float],
) -> tuple[Image, Image]:
    """What ``_ground`` gives, with mottle, flows and slopes between the map's pixels and the picture's."""
    (pattern, sun_up), (km_per_px, octaves) = smooth, scale
    middle = tuple(size // 2 for size in sight.mu.shape)
    up = np.array([c[middle] for c in sight.body], float)
    east = np.cross([0, 0, 1.0], up / np.linalg.norm(up))
    east /= max(float(np.linalg.norm(east)), 1e-6)
    north = np.cross(up, east)
    across_km, along_km = (_dot(IO_RADIUS_KM * axis, sight.body) for axis in (east, north))
    albedo, slope_east, slope_north = texture(across_km, along_km, km_per_px, surface.seed)
    sun = geometry.rotation.T @ geometry.sun
    steep = np.float32(0.3 * surface.roughness * min(octaves, 3))
    tilt = np.float32(sun @ east) * slope_east + np.float32(sun @ north) * slope_north
    roughened = np.where(sun_up > 0, sun_up - steep * tilt * np.minimum(8 * sun_up, 1), sun_up)
    return pattern + np.float32(surface.roughness * min(octaves, 3)) * albedo, roughened


# -- mountains ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Massifs:
    """Io's mountains: isolated massifs, 60-200 km wide and mostly 2-9 km tall, steeper on one side.

    Attributes:
        up: (n, 3) where they stand, unit vectors in the body's frame.
        along: (n, 3) horizontal unit vectors along their longer axis.
        height_km: (n,).
        half_km: (n, 2) half-widths of the base along the longer and the shorter axis.
        lean: (n,) -0.6..0.6: the steep side's half-width is this share smaller, the gentle one's larger.

    """

    up: Array
    along: Array
    height_km: Array
    half_km: Array
    lean: Array

    def heights(self, which: NDArray[np.intp] | int, a_km: Array | Image, b_km: Array | Image) -> NDArray[np.floating]:
        """Heights in km at horizontal distances along the two axes from the middle."""
        half, lean = self.half_km[which].astype(np.float32), self.lean[which].astype(np.float32)
        u, v = a_km / half[..., 0], b_km / half[..., 1]
        v = v / (1 + lean * np.tanh(4 * v))
        p = 40 * lean
        crooked_u = u + 0.16 * np.sin(3.1 * v + p) + 0.06 * np.sin(8.3 * v + 2 * p)
        crooked_v = v + 0.16 * np.sin(2.7 * u + 3 * p) + 0.06 * np.sin(9.1 * u - p)
        away = np.sqrt(crooked_u * crooked_u + crooked_v * crooked_v)
        crag = 1 + 0.10 * np.sin(6 * crooked_u + p) + 0.08 * np.sin(11 * crooked_v - 3 * p)
        return self.height_km[which].astype(np.float32) * crag * np.clip(1.35 - 1.35 * away, 0, 1)


@functools.lru_cache(maxsize=4)
def massifs(seed: int) -> Massifs:
    """The mountains of a seed. About 115 are known on Io; the tallest rises 17 km (as recalled)."""
    rng = np.random.default_rng(seed)
    up = rng.normal(size=(MASSIFS, 3))
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    along = np.cross(up, rng.normal(size=(MASSIFS, 3)))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    height = np.minimum(1.5 + rng.exponential(3.5, MASSIFS), TALLEST_KM / 1.18)
    half = rng.uniform(30, 100, MASSIFS)
    half = np.stack([half, half * rng.uniform(0.35, 0.9, MASSIFS)], -1)
    return Massifs(up, along, height, half, rng.uniform(-0.6, 0.6, MASSIFS))


def _relief_px(geometry: Geometry, seed: int, sight: Sight) -> Image:
    """(H, W) by how much mountains raise the limb, in pixels of the ideal plane; 0 away from the limb."""
    raised = np.zeros(sight.mu.shape, np.float32)
    top = _altitude_px(geometry, TALLEST_KM)
    near = (sight.inward_px < 3) & (sight.inward_px > -top - 1)
    azimuth = np.arctan2(sight.x_px[near], -sight.y_px[near]) % np.float32(2 * np.pi)
    columns = 1024 if geometry.radius_px < 160 else 4096
    place = azimuth * np.float32(columns / (2 * np.pi))
    low = np.minimum(place.astype(np.intp), columns - 1)  # the remainder of a tiny negative angle rounds up to 2 pi
    relief = limb_relief_km(geometry, seed, columns)
    weight = place - low
    height = relief[low] * (1 - weight) + relief[low + 1] * weight
    raised[near] = height * np.float32(top / TALLEST_KM)
    return raised


def limb_relief_km(geometry: Geometry, seed: int, columns: int = 4096) -> Image:
    """Altitude of the mountains' skyline above the limb at azimuths (columns + 1,), 0 = up, clockwise.

    A mountain that stands an angle b before or behind the limb is seen above it by its height less R b^2 / 2.
    """
    hills = massifs(seed)
    towards = hills.up @ geometry.rotation.T
    before = np.arcsin(np.clip(towards[:, 2], -1, 1)) - math.asin(IO_RADIUS_KM / geometry.range_km)
    widest = 1.2 * hills.half_km.max(1) / IO_RADIUS_KM
    beyond = np.maximum(np.abs(before) - widest, 0)
    which = np.flatnonzero(1.18 * hills.height_km > IO_RADIUS_KM * beyond**2 / 2)
    skyline = np.zeros(columns + 1, np.float32)
    if not which.size:
        return skyline
    azimuth = np.arctan2(towards[which, 0], -towards[which, 1])
    tangent = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(which.size)], -1)  # clockwise along the limb
    turn = np.sum((hills.along[which] @ geometry.rotation.T) * tangent, -1)[:, None, None]
    turn, aside = np.clip(turn, -1, 1), np.sqrt(1 - np.clip(turn, -1, 1) ** 2)
    half_columns = int(np.ceil(widest.max() * columns / (2 * np.pi))) + 1
    column = np.arange(-half_columns, half_columns + 1)
    first = np.floor(azimuth * columns / (2 * np.pi)).astype(int)
    along = ((first[:, None] + column) * 2 * np.pi / columns - azimuth[:, None])[:, :, None] * IO_RADIUS_KM
    across = np.linspace(-1, 1, 9) * hills.half_km[which].max(1)[:, None, None]
    height = hills.heights(which[:, None, None], along * turn + across * aside, along * aside - across * turn)
    seen = height - IO_RADIUS_KM * (before[which, None, None] + across / IO_RADIUS_KM) ** 2 / 2
    np.maximum.at(skyline, (first[:, None] + column) % columns, seen.max(-1).astype(np.float32))
    skyline[-1] = skyline[0]
    return skyline


def _massifs_lit(geometry: Geometry, seed: int, sight: Sight, sun_up: Image, cosine: Image) -> Image:
    """The Sun's cosine on the slopes of mountains in low light: some catch it a little beyond the terminator."""
    hills = massifs(seed)
    sun = geometry.rotation.T @ geometry.sun
    low = hills.up @ sun
    facing = hills.up @ geometry.rotation[2] > IO_RADIUS_KM / geometry.range_km - 0.03
    shaded = facing & (low > LOW_SUN[0]) & (low < LOW_SUN[1]) & (hills.height_km > SHADED_KM)
    cosine, km_per_px = cosine.copy(), _finest_km(geometry, sight)
    for which in np.flatnonzero(shaded):
        patch = _around(hills, int(which), sight, km_per_px)
        if patch is not None:
            body = tuple(c[patch] for c in sight.body)
            cosine[patch] = massif_cosine(hills, int(which), sun, body, (sun_up[patch], cosine[patch]))
    return cosine


def massif_cosine(
    hills: Massifs, which: int, sun: Array, body: tuple[Image, ...], cosines: tuple[Image, Image]
) -> Image:
    """The Sun's cosine on and around one mountain.

    Args:
        hills, which: the mountain.
        sun: unit vector to the Sun in the body's frame.
        body: x, y, z (H, W) of places on the ground in the body's frame.
        cosines: of the Sun over level ground, for the mountain to change, and to keep where it does not stand.

    Returns:
        (H, W): that of the slope; -1 where the horizon hides the Sun, which is lower the higher one stands.

    """
    level_ground, kept = cosines
    up, along = hills.up[which], hills.along[which]
    axes = np.stack([along, np.cross(up, along)]) * IO_RADIUS_KM
    a_km, b_km = (_dot(axis, body) for axis in axes)
    level = sun - (sun @ up) * up
    level /= max(float(np.linalg.norm(level)), 1e-9)
    step_km = 0.04 * float(hills.half_km[which].min())
    ahead = (step_km / IO_RADIUS_KM * (axes @ level)).astype(np.float32)
    height, further = hills.heights(which, np.stack([a_km, a_km + ahead[0]]), np.stack([b_km, b_km + ahead[1]]))
    slope = (further - height) / np.float32(step_km)
    tilted = (level_ground - slope * np.sqrt(1 - level_ground * level_ground)) / np.sqrt(1 + slope * slope)
    horizon = -np.sqrt(height * np.float32(2 / IO_RADIUS_KM))
    return np.where(height > 0, np.where(level_ground > horizon, tilted, np.float32(-1)), kept)


def _around(hills: Massifs, which: int, sight: Sight, km_per_px: float) -> tuple[slice, slice] | None:
    """The pixels of the rectangle that may see a mountain, looked for on a coarse grid; None when none does."""
    half_km = 1.35 * float(hills.half_km[which].max())
    step = max(1, int(half_km / km_per_px / 3))
    away = half_km / IO_RADIUS_KM
    near = _dot(hills.up[which], tuple(axis[::step, ::step] for axis in sight.body)) > 1 - away * away / 2
    rows, columns = near.any(1), near.any(0)
    if not rows.any():
        return None
    return _span(rows, sight.mu.shape[0], step), _span(columns, sight.mu.shape[1], step)


# -- glow of the limb in eclipse ------------------------------------------------------------------------------------


def auroral_glow(geometry: Geometry, rng: Rng, shape: tuple[int, int]) -> Image:
    """Io's atmosphere glowing in Jupiter's shadow, seen along the limb (Geissler et al. 1999).

    The column of an exponential atmosphere: longest just above the limb, half of it just inside, where the body hides
    the other half. Brighter towards one pole, with spots where Jupiter's field lines touch Io.

    Returns:
        (H, W) float32 I/F-equivalent; peaks of 1e-7 .. 3e-5, scale heights of 30-150 km.

    """
    scale_km, peak = rng.uniform(30, 150), log_uniform(rng, 1e-7, 3e-5)
    glow = np.zeros(shape, np.float32)
    box = _box(geometry, shape, 7 * scale_km)
    if box is None:
        return glow
    rows, columns = box
    sight = geometry.sight(_fine(columns, 1)[None], _fine(rows, 1)[:, None])
    per_px = np.float32(TALLEST_KM / _altitude_px(geometry, TALLEST_KM))
    altitude = np.maximum(-sight.inward_px, 0) * per_px
    outside = np.exp(-np.minimum(altitude, 20 * scale_km) / np.float32(scale_km))
    grazing = math.sqrt(2 * math.pi * IO_RADIUS_KM / scale_km)
    inside = 1 / (2 + np.float32(grazing) * sight.mu)
    share = np.clip(sight.inward_px + 0.5, 0, 1)
    glow[box] = peak * (outside * (1 - share) + inside * share) * _auroral_pattern(sight, rng)
    return glow


def _auroral_pattern(sight: Sight, rng: Rng) -> Image:
    """(H, W) up to 1: how bright the glow is over each place: one pole brighter, spots near 0 and 180 W."""
    x, y, z = sight.body
    pattern = 1 + np.float32(rng.uniform(-0.7, 0.7)) * z
    for side in (1, -1):
        towards = np.float32(side) * direction(rng.normal(0, 12), rng.normal(0, 12)).astype(np.float32)
        off = (x - towards[0]) ** 2 + (y - towards[1]) ** 2 + (z - towards[2]) ** 2
        pattern = pattern + np.float32(rng.uniform(0, 3)) * np.exp(-off / np.float32(2 * rng.uniform(0.15, 0.4) ** 2))
    return np.asarray(pattern / max(float(pattern.max()), 1e-6), np.float32)
