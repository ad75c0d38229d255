"""A small renderer of disks for the limb tests: lit spheres with known circles, and what spoils them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class Ball:
    """A lit sphere: circle in px, phase, the Sun's direction on the frame (degrees, 0 = +x, 90 = +y), brightness."""

    x: float
    y: float
    r: float
    phase_deg: float = 40.0
    sun_deg: float = 200.0
    brightness: float = 1.0
    night: float = 0.0
    texture: float = 0.25
    lambert: float = 0.4


@dataclass(frozen=True)
class Plume:
    """A dome on the limb: azimuth (degrees, as ``sun_deg``), height and half-width in radii, brightness."""

    azimuth_deg: float
    height: float = 0.15
    half_width: float = 0.1
    brightness: float = 0.3


@dataclass(frozen=True)
class Scene:
    """Balls (far to near; the last is Io), plumes on the last, sky and camera."""

    shape: tuple[int, int]
    balls: tuple[Ball, ...]
    plumes: tuple[Plume, ...] = ()
    sky: float = 0.0
    gradient: float = 0.0
    halo: float = 0.0
    blur_px: float = 0.7
    seed: int = 0
    extras: dict[str, float] = field(default_factory=dict)


def fractal(shape: tuple[int, int], rng: np.random.Generator, slope: float = 1.6) -> NDArray[np.float64]:
    """Fractal noise, mean 0, standard deviation 1."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    size = np.hypot(fx, fy)
    size[0, 0] = 1
    field_ = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) / size**slope, s=shape)
    return (field_ - field_.mean()) / field_.std()


def grid(shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y of every pixel."""
    return np.meshgrid(np.arange(shape[1], dtype=float), np.arange(shape[0], dtype=float))


def shade(
    ball: Ball, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Brightness of the sphere and its area coverage of each pixel (0..1)."""
    x, y = grid(shape)
    dx, dy = (x - ball.x) / ball.r, (y - ball.y) / ball.r
    rho = np.hypot(dx, dy)
    coverage = np.clip((1 - rho) * ball.r + 0.5, 0, 1)
    squeeze = np.minimum(1, (1 - 0.3 / ball.r) / np.maximum(rho, 1e-9))
    dx, dy = dx * squeeze, dy * squeeze
    mu = np.sqrt(np.maximum(1 - dx**2 - dy**2, 0))
    phase, sun = np.radians(ball.phase_deg), np.radians(ball.sun_deg)
    mu0 = np.maximum(np.sin(phase) * (dx * np.cos(sun) + dy * np.sin(sun)) + np.cos(phase) * mu, 0)
    lunar = mu0 / np.maximum(mu0 + mu, 1e-6)
    light = ball.lambert * mu0 + (1 - ball.lambert) * lunar
    relief = np.exp(ball.texture * fractal(shape, rng)) if ball.texture else 1.0
    return ball.brightness * relief * (light + ball.night), coverage


def plume_light(plume: Plume, ball: Ball, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A dome above the limb, brightest at its foot."""
    x, y = grid(shape)
    a = np.radians(plume.azimuth_deg)
    up = ((x - ball.x) * np.cos(a) + (y - ball.y) * np.sin(a)) / ball.r - 1
    side = (-(x - ball.x) * np.sin(a) + (y - ball.y) * np.cos(a)) / ball.r
    inside = (up / plume.height) ** 2 + (side / plume.half_width) ** 2
    return plume.brightness * np.clip(1.3 - inside, 0, 1) * (up > -0.2)


def render(scene: Scene) -> NDArray[np.float64]:
    """The noise-free picture; a sunlit face at low phase is about 0.3 to 1."""
    rng = np.random.default_rng(scene.seed)
    x, y = grid(scene.shape)
    picture = scene.sky + scene.gradient * (x / scene.shape[1] + 0.5 * y / scene.shape[0])
    io = scene.balls[-1] if scene.balls else None
    for ball in scene.balls:
        if ball is io:
            for plume in scene.plumes:
                picture = picture + plume_light(plume, ball, scene.shape)
        face, coverage = shade(ball, scene.shape, rng)
        picture = picture * (1 - coverage) + (face + scene.sky) * coverage
    if scene.halo and io is not None:
        distance = np.maximum(np.hypot(x - io.x, y - io.y) / io.r, 1)
        picture = picture + scene.halo * distance**-2.5
    return ndimage.gaussian_filter(picture, scene.blur_px) if scene.blur_px else picture
