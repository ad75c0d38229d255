"""ModelCard: what a model file says about itself. It lives inside the .onnx (``metadata_props``, key ``card``)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

CARD_KEY = "card"
OPERATING_POINTS = ("screening", "confident")


class Threshold(BaseModel):
    """Hysteresis threshold of one class.

    A region needs one pixel at least ``seed`` probable, grows over its neighbours down to ``grow``, and is kept when
    it covers at least ``min_area_px`` pixels and its judged score is at least ``score``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: float = Field(gt=0, lt=1)
    grow: float = Field(gt=0, lt=1)
    min_area_px: int = Field(ge=1)
    score: float = Field(ge=0, le=1, default=0.0)


class ModelCard(BaseModel):
    """What a user must know before trusting a model.

    Attributes:
        name, version: of the release.
        classes: the planes of the output, in order.
        operating_points: for ``screening`` (misses little) and ``confident`` (few false alarms), a threshold a class.
        calibration: how raw scores were turned into probabilities, and the fitted numbers.
        training: configuration, seeds, counts, versions, hash of the training data, commit.
        parity: the largest gap between torch and onnxruntime that the export measured.
        scores: what the evaluation measured, as text with counts.
        limits: what the model is known not to do.
        licence: of the weights.

    """

    model_config = ConfigDict(extra="forbid")

    name: str
    version: str
    classes: tuple[str, ...] = ("plume", "hotspot")
    operating_points: dict[str, dict[str, Threshold]]
    calibration: dict[str, Any] = {}
    training: dict[str, Any] = {}
    parity: dict[str, float] = {}
    scores: dict[str, Any] = {}
    limits: tuple[str, ...] = ()
    licence: str = "MIT"
