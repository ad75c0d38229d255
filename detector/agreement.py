"""Colour pictures: their planes show one scene, so a weak find must show in more than one of them.

A JPEG's chroma is coarse, and its blocks beside the limb differ from plane to plane; an eruption does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detector.detect import Result
from detector.frame import Frame
from detector.regions import Region

PLANES = ("LUMINANCE", "RED", "GREEN", "BLUE")
WEAK_SCORE = 0.8
"""A find below this score needs a second plane."""


def is_plane(frame: Frame) -> bool:
    """Whether a frame is a plane of a colour picture of no known camera."""
    return frame.instrument == "unknown" and frame.filter in PLANES


def agreed(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return the results of one product's frames without weak finds that one plane of a picture shows alone.

    Only planes of the same picture of no known camera are compared: filters of a camera look at different moments,
    places or depths. What was left out is said in the frame's warnings.

    Args:
        results: of all frames of a product, in their order.

    """
    planes = [result for result in results if is_plane(result.frame)]
    if len(planes) < 2:
        return tuple(results)
    return tuple(_supported(result, planes) if is_plane(result.frame) else result for result in results)


def _supported(result: Result, planes: Sequence[Result]) -> Result:
    others = [
        region
        for other in planes
        if other is not result and other.frame.shape == result.frame.shape
        for region in other.regions
    ]
    kept = [
        n
        for n, region in enumerate(result.regions)
        if region.score >= WEAK_SCORE or any(_overlap(region, other) for other in others)
    ]
    dropped = len(result.regions) - len(kept)
    if not dropped:
        return result
    return replace(
        result,
        frame=result.frame.with_warning(f"left out {dropped} weak find(s) that no other plane of the picture shows"),
        regions=tuple(result.regions[n] for n in kept),
        detections=tuple(result.detections[n] for n in kept),
    )


def _overlap(one: Region, other: Region) -> bool:
    """Whether two regions of a class share a pixel."""
    if one.kind != other.kind:
        return False
    shape = tuple(max(a.stop, b.stop) for a, b in zip(one.box, other.box, strict=True))
    box = (slice(0, shape[0]), slice(0, shape[1]))
    return bool(np.any(one.within(box) & other.within(box)))
