"""What is done to a picture before it is published: cleaned, enlarged, stretched, sharpened, and kept as a JPEG.

The same treatment is given to the picture and to its noise-free counterpart, so what the noise has become is read off
their difference and need not be modelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.simulate.dice import Dice, Rng, log_uniform
from training.simulate.light import Image

WHITE = 255.0
ROUNDING = 1 / math.sqrt(12)
LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Rec. 709, as the reader of pictures makes one plane of three."""
NEIGHBOURHOOD_PX = 15
"""Side of the square over which the noise left in a picture is averaged."""
OUTLIER = 5.0
"""Differences beyond so many expected sigmas are radiation hits, not noise."""
NARROWEST = 6.0
"""Sigmas of the noise from black to white at least: nobody spreads bare noise over all the greys."""
TILES = 8
"""Local contrast works on 8 x 8 tiles (CLAHE: Zuiderveld 1994)."""


@dataclass(frozen=True)
class Shown:
    """A published picture.

    Attributes:
        grey: (H, W) float32, whole numbers 0..255.
        sigma: (H, W) float32 > 0: 1-sigma of ``grey`` about what a noise-free picture would have become.
        slope: (H, W) float32 >= 0: grey levels per count, for detail as fine as the grain of the noise; so that
            slope / sigma is what it was before the linear steps (sharpening, smoothing, enlarging), which change the
            noise and its correlation together and neither add nor take knowledge.

    """

    grey: Image
    sigma: Image
    slope: Image


@dataclass(frozen=True)
class Tone:
    """Counts to grey levels, a curve for each pixel.

    Attributes:
        black, white: counts that become 0 and 255.
        gamma: exponent.
        gains: of the three colours before each is cut at white; (1, 1, 1) = a grey picture.
        local: (TILES, TILES, 257) curves of local contrast over grey levels; None = none.

    """

    black: float
    white: float
    gamma: float
    gains: tuple[float, float, float]
    local: Image | None = None

    def __call__(self, counts: Image) -> Image:
        """(H, W) counts -> (H, W) float32 grey levels 0..255, not rounded."""
        grey = self._curve(counts)
        return grey if self.local is None else _through_tiles(grey, self.local)

    def _curve(self, counts: Image) -> Image:
        scaled = np.maximum((counts - np.float32(self.black)) * np.float32(1 / (self.white - self.black)), 0)
        bent = cv2.pow(scaled, self.gamma) if self.gamma != 1 else scaled
        if len(set(self.gains)) == 1:
            return np.asarray(np.minimum(bent, 1) * np.float32(WHITE), np.float32)
        total = np.zeros_like(bent)
        for weight, gain in zip(LUMINANCE, self.gains, strict=True):
            total += np.minimum(bent * np.float32(gain**self.gamma), 1) * np.float32(weight * WHITE)
        return total

    def slope(self, counts: Image, sigma: Image) -> Image:
        """(H, W) >= 0: grey levels per count, averaged over the noise: what it is worth where the curve bends."""
        rise = self(counts + sigma) - self(counts - sigma)
        return np.asarray(np.maximum(rise, 0) / np.maximum(2 * sigma, np.float32(1e-12)), np.float32)


def _tile_curves(grey: Image, limit: float) -> Image:
    """(TILES, TILES, 257): the clipped cumulative histogram of each tile, scaled to 0..255."""
    levels = np.clip(grey, 0, 255).astype(np.int32)
    rows = np.arange(grey.shape[0]) * TILES // grey.shape[0]
    columns = np.arange(grey.shape[1]) * TILES // grey.shape[1]
    tile = (rows[:, None] * TILES + columns[None]) * 256
    counts = np.bincount((tile + levels).ravel(), minlength=TILES * TILES * 256).reshape(TILES, TILES, 256)
    share = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    cut = np.minimum(share, limit / 256)
    cut += (1 - cut.sum(axis=-1, keepdims=True)) / 256
    curve = np.zeros((TILES, TILES, 257), np.float32)
    np.cumsum(cut, axis=-1, out=curve[..., 1:])
    return curve * np.float32(WHITE)


def _through_tiles(grey: Image, curves: Image) -> Image:
    """Each pixel through the curves of the four nearest tiles, weighted by nearness."""
    place = [np.clip((np.arange(n) + 0.5) * TILES / n - 0.5, 0, TILES - 1) for n in grey.shape]
    first = [np.minimum(p.astype(np.int32), TILES - 2) for p in place]
    part = [(p - f).astype(np.float32) for p, f in zip(place, first, strict=True)]
    level = np.clip(grey, 0, np.float32(255.99))
    whole = level.astype(np.int32)
    within = level - whole
    flat = curves.ravel()
    out = np.zeros_like(grey)
    for down in (0, 1):
        for right in (0, 1):
            start = ((first[0] + down)[:, None] * TILES + (first[1] + right)[None]) * 257 + whole
            value = flat[start] + within * (flat[start + 1] - flat[start])
            weight_y = part[0] if down else 1 - part[0]
            weight_x = part[1] if right else 1 - part[1]
            out += value * weight_y[:, None] * weight_x[None]
    return out


@dataclass(frozen=True)
class Display:
    """A way to publish a picture.

    Attributes:
        low, high: shares of the pixels (0..1) whose counts become black and white; the highest can be 1 + x: white
            lies x of the range above the brightest pixel.
        lift: black lies so many sigmas of the noise above that: skies of published pictures are often plain zero.
        gamma: exponent of the tone curve; below 1 lifts what is faint.
        gains: of red, green, blue.
        local: clip limit of local contrast, 1..; 0 = none.
        denoise: ``median``, ``edges`` (bilateral) or empty.
        enlarge: how many times the picture is larger than it was taken, 1..3.
        sharpen: amount of unsharp masking; 0 = none. sharpen_px: its radius (sigma).
        quality: of the JPEG, 1..100; 0 = no JPEG.

    """

    low: float = 0.0
    high: float = 1.0
    lift: float = 0.0
    gamma: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    local: float = 0.0
    denoise: str = ""
    enlarge: float = 1.0
    sharpen: float = 0.0
    sharpen_px: float = 1.5
    quality: int = 0

    def taken_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the picture as it was taken, for ``shape`` as it is published."""
        rows, columns = (max(8, round(n / self.enlarge)) for n in shape)
        return rows, columns

    def show(self, counts: Image, clean: Image, sigma: Image, shape: tuple[int, int]) -> Shown:
        """Publish a picture.

        Args:
            counts: (h, w) as read out, of ``taken_shape(shape)``.
            clean: (h, w) what it would be without noise.
            sigma: (h, w) > 0: 1-sigma of their difference.
            shape: rows and columns to publish.

        What rounding and JPEG lose is the noise that they add; where they smooth noise away instead, half of what they
        changed stands for the fine detail that went with it.

        """
        counts, clean, sigma = (_enlarged(a, shape) for a in (self._denoised(counts, sigma), clean, sigma))
        tone = self._tone(counts, sigma)
        before = self._sharpened(tone(counts))
        grey = jpeg(np.clip(np.rint(before), 0, WHITE).astype(np.uint8), self.quality)
        slope = tone.slope(clean, sigma)
        expected = slope * sigma + np.float32(2)
        reach = OUTLIER * (1 + self.sharpen) * expected
        aim = np.clip(self._sharpened(tone(clean)), 0, WHITE)
        smooth = np.clip(before, 0, WHITE)
        remains, had, changed = (_local(d, reach) for d in (grey - aim, smooth - aim, grey - smooth))
        lost = np.maximum(np.maximum(remains - had, changed / 4), np.float32(ROUNDING**2))
        worth = np.sqrt((slope * sigma * np.float32(self.enlarge)) ** 2 + lost)
        noise = np.sqrt(np.maximum(remains, np.float32(ROUNDING**2)))
        return Shown(grey, noise, np.asarray(noise * slope / worth, np.float32))

    def _tone(self, counts: Image, sigma: Image) -> Tone:
        """The curve for this picture: its black and white are set by what it holds."""
        some = counts[::3, ::3]
        black, white = (float(x) for x in np.quantile(some, (self.low, min(self.high, 1.0))))
        white += max(self.high - 1, 0) * (white - black)
        grain = float(sigma[::3, ::3].min())
        white = max(white, black + NARROWEST * grain)
        black += min(self.lift * grain, (white - black) / 2)
        if white - black <= 1e-6 * max(abs(white), 1e-6):
            white = black + max(abs(black), 1.0)
        tone = Tone(black, white, self.gamma, self.gains)
        if self.local == 0:
            return tone
        return Tone(black, white, self.gamma, self.gains, _tile_curves(tone(counts), self.local))

    def _denoised(self, counts: Image, sigma: Image) -> Image:
        if self.denoise == "median":
            return np.asarray(cv2.medianBlur(counts, 3), np.float32)
        if self.denoise == "edges":
            return np.asarray(cv2.bilateralFilter(counts, 5, 3 * float(np.median(sigma)), 1.5), np.float32)
        return counts

    def _sharpened(self, grey: Image) -> Image:
        if self.sharpen == 0:
            return grey
        soft = cv2.GaussianBlur(grey, (0, 0), self.sharpen_px, borderType=cv2.BORDER_REFLECT)
        return np.asarray(cv2.addWeighted(grey, 1 + self.sharpen, soft, -self.sharpen, 0), np.float32)


def jpeg(grey: NDArray[np.uint8], quality: int) -> Image:
    """(H, W) float32: a grey picture after it was kept as a JPEG of this quality; 0 leaves it as it is."""
    if quality == 0:
        return grey.astype(np.float32)
    _, packed = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.float32)


def _enlarged(image: Image, shape: tuple[int, int]) -> Image:
    if image.shape == shape:
        return image
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _local(difference: Image, reach: Image) -> Image:
    """Mean square of a neighbourhood; single differences beyond ``reach`` count no more than that."""
    kept = np.clip(difference, -reach, reach)
    return np.asarray(cv2.blur(kept * kept, (NEIGHBOURHOOD_PX, NEIGHBOURHOOD_PX), borderType=cv2.BORDER_REFLECT))


# -- drawing one ------------------------------------------------------------------------------------------------------


def draw_display(dice: Dice) -> Display:
    """A way to publish a picture; each of its steps is an effect of its own."""
    gamma = dice.effect("gamma", 0.45)
    kept = dice.effect("jpeg", 0.65)
    display = replace(
        _stretched(dice, _unnamed(dice)),
        gamma=1.0 if gamma is None else _exponent(gamma),
        quality=0 if kept is None else int(kept.integers(40, 96)),
    )
    sharpen = dice.effect("sharpen", 0.4)
    if sharpen is None:
        return display
    return replace(display, sharpen=log_uniform(sharpen, 0.3, 3.0), sharpen_px=log_uniform(sharpen, 0.7, 4.0))


def _stretched(dice: Dice, display: Display) -> Display:
    """Where black and white lie."""
    stretch, clip = dice.effect("stretch", 0.7), dice.effect("clip", 0.3)
    if stretch is not None:
        display = replace(
            display,
            low=float(stretch.choice([0.0, 0.001, 0.01, stretch.uniform(0, 0.3)])),
            high=float(stretch.choice([0.999, 0.995, 1.0, 1 + stretch.uniform(0, 1.0)])),
            lift=stretch.uniform(0.5, 7) if stretch.random() < 0.4 else 0.0,
        )
    return display if clip is None else replace(display, high=1 - log_uniform(clip, 0.005, 0.3))


def _exponent(rng: Rng) -> float:
    """Mostly lifts the shadows; sometimes darkens them."""
    return float(rng.choice([log_uniform(rng, 0.35, 1.0), 1 / 2.2, rng.uniform(1, 1.8)]))


def _unnamed(dice: Dice) -> Display:
    """Steps that have no name among the effects: never when effects are forced, so that these stand alone."""
    rng = dice.rng("display")
    if dice.only is not None:
        return Display()
    return Display(
        gains=_gains(rng) if rng.random() < 0.35 else (1.0, 1.0, 1.0),
        local=log_uniform(rng, 1.5, 6) if rng.random() < 0.08 else 0.0,
        denoise=str(rng.choice(["median", "edges"])) if rng.random() < 0.15 else "",
        enlarge=float(rng.choice([1.5, 2.0, 3.0, rng.uniform(1, 3)])) if rng.random() < 0.25 else 1.0,
    )


def _gains(rng: Rng) -> tuple[float, float, float]:
    """Io is yellow: red comes to white first, blue last."""
    return rng.uniform(1.0, 1.5), 1.0, rng.uniform(0.4, 1.0)
