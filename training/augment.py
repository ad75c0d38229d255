"""Augmentation: the only file that knows albumentations."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # noqa: N812


@dataclass(frozen=True)
class Strength:
    """How often a frame is changed: turned or mirrored always, its tones and texture with these probabilities."""

    tone: float = 0.25
    texture: float = 0.2


class Augmenter:
    """Turns, mirrors and roughens a frame together with its masks and its limb circle."""

    def __init__(self, strength: Strength, seed: int) -> None:
        self._compose = A.Compose(
            [
                A.D4(p=1),
                A.OneOf(
                    [A.RandomGamma((60, 170)), A.RandomToneCurve(0.25), A.RandomBrightnessContrast(0, (-0.3, 0.4))],
                    p=strength.tone,
                ),
                A.OneOf(
                    [
                        A.GaussianBlur(sigma_limit=(0.3, 1.2)),
                        A.UnsharpMask(alpha=(0.2, 1.0)),
                        A.GaussNoise((0.002, 0.02)),
                        A.ImageCompression(quality_range=(40, 95)),
                    ],
                    p=strength.texture,
                ),
            ],
            keypoint_params=A.KeypointParams("xy", remove_invisible=False),
            seed=seed,
        )

    def __call__(
        self, image: NDArray[np.float32], planes: NDArray[np.uint8], circle: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        """Change one frame.

        Args:
            image: (H, W) float32 in any unit; tones are changed between its 0.1th and 99.9th percentile.
            planes: (H, W, K) uint8 masks; the first is validity. Gaps are filled with the median, lest they bleed.
            circle: (3,) x, y, radius; radius 0 = no limb.

        Returns:
            the three, changed alike.

        """
        seen = planes[..., 0] > 0
        low, middle, high = np.percentile(image[seen], [0.1, 50, 99.9]) if seen.any() else (0.0, 0.0, 1.0)
        image = np.where(seen, image, np.float32(middle))
        span = max(float(high - low), 1e-6)
        scaled = np.clip((image - low) / span, 0, 1).astype(np.float32)
        changed = self._compose(image=scaled[..., None], mask=planes, keypoints=[(float(circle[0]), float(circle[1]))])
        x, y = changed["keypoints"][0][:2]
        return (
            np.ascontiguousarray(changed["image"].reshape(changed["image"].shape[:2]) * span + low, dtype=np.float32),
            np.ascontiguousarray(changed["mask"]),
            np.array([x, y, circle[2]], np.float32),
        )
