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
        self._turn = A.Compose([A.D4(p=1)], keypoint_params=A.KeypointParams("xy", remove_invisible=False), seed=seed)
        self._roughen = A.Compose(
            [
                A.OneOf(
                    [
                        A.RandomGamma((60, 170)),
                        A.RandomToneCurve(0.25),
                        A.RandomBrightnessContrast(0, (-0.3, 0.4)),
                    ],
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
            seed=seed + 1,
        )

    def __call__(
        self, image: NDArray[np.float32], planes: NDArray[np.uint8], circle: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        """Change one frame.

        Args:
            image: (H, W) float32 in any unit.
            planes: (H, W, K) uint8 masks; the first is validity. Gaps are filled with the median, lest they bleed.
            circle: (3,) x, y, radius; radius 0 = no limb.

        Returns:
            the three, changed alike. Tones and texture are changed between the frame's 0.1th and 99.9th percentile;
            what lies beyond them, hot spots before all, is added back as it was.

        """
        centre = (float(circle[0]), float(circle[1]))
        turned = self._turn(image=image, mask=planes, keypoints=[centre])
        image, planes = turned["image"], np.ascontiguousarray(turned["mask"])
        x, y = turned["keypoints"][0][:2]
        return self.roughened(image, planes[..., 0] > 0), planes, np.array([x, y, circle[2]], np.float32)

    def roughened(self, image: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The frame (H, W) with other tones and texture."""
        low, middle, high = np.percentile(image[seen], [0.1, 50, 99.9]) if seen.any() else (0.0, 0.0, 1.0)
        span = max(float(high - low), 1e-6)
        scaled = (np.where(seen, image, np.float32(middle)) - low) / span
        within = np.clip(scaled, 0, 1).astype(np.float32)
        changed = self._roughen(image=within[..., None])["image"].reshape(image.shape)
        return np.asarray((changed + (scaled - within)) * span + low, np.float32)
