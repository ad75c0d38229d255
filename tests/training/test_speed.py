"""Timing: arithmetic counted as by hand, everybody timed, who is missing named."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

pytest.importorskip("photutils", reason="the extra `bench` is not installed")

from detector.card import ModelCard, Threshold
from training.speed import Speed, Timing, gemm_gflops, gflop_of, lines, measure

CARD = ModelCard(
    name="blind",
    version="1",
    operating_points={
        point: {kind: Threshold(seed=0.9, grow=0.5, min_area_px=1) for kind in ("plume", "hotspot")}
        for point in ("screening", "confident")
    },
)


def convolution(path: Path, inputs: dict[str, list], channels: int, batch: int | str = "n") -> Path:
    """Write a network of one 3 x 3 convolution with stride 2 on its first input, and a product of a constant."""
    name = next(iter(inputs))
    weight = np.zeros((2, channels, 3, 3), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", [name, "w"], ["y"], pads=[1, 1, 1, 1], strides=[1, 1]),
            helper.make_node("Sigmoid", ["y"], ["probability"]),
        ],
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, *shape]) for n, shape in inputs.items()],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [batch, 2, "h", "w"])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(made, {"card": CARD.model_dump_json()})
    onnx.save(made, path)
    return path


@pytest.fixture
def blind(tmp_path) -> Path:
    inputs = {"frame": [1, "h", "w"], "valid": [1, "h", "w"], "limb": [3], "levels": [3]}
    return convolution(tmp_path / "blind.onnx", inputs, 1)


def test_arithmetic_is_that_of_the_convolution(tmp_path):
    path = convolution(tmp_path / "one.onnx", {"x": [3, "h", "w"]}, 3)
    assert gflop_of(path, {"x": np.zeros((2, 3, 50, 40), np.float32)}) * 1e9 == 2 * (2 * 2 * 50 * 40) * 27


def test_the_machine_multiplies():
    assert 0.1 < gemm_gflops(1, 256) < 1e5


def test_everybody_is_timed_and_who_is_missing_is_named(blind, tmp_path):
    yolo = convolution(tmp_path / "yolo.onnx", {"x": [3, 800, 800]}, 3, batch=1)
    speed = measure(blind, yolo, None, frames=1, rounds=1)
    timed = {(one.name, one.threads, one.batch): one for one in speed.timings}
    for threads in (1, 2):
        road = timed["io-detector, file to catalogue", threads, 1]
        assert 0 < road.least_ms <= road.low_ms <= road.median_ms <= road.high_ms
        assert timed["io-detector, limb alone", threads, 1].median_ms < 10 * road.median_ms
        assert timed["YOLO11n-seg", threads, 1].gflop * 1e9 == 2 * (2 * 800 * 800) * 27
        assert timed["YOLO11n-seg", threads, 8].note == "takes no batch of 8: the file is for batches of 1"
        assert timed["io-detector, model alone", threads, 8].runs > 0
        assert "missing" in timed["U-Net resnet18", threads, 1].note
    assert json.loads(speed.to_json())["timings"][0]["name"] == "io-detector, model alone"
    assert any("as fast as YOLO11n-seg" in line for line in lines(speed))
    assert not any("as fast as U-Net" in line for line in lines(speed))


def test_the_table_says_what_is_not_known():
    ours = [Timing(name, threads, 1, 10.0, 9.0, 12.0, 8.0, 5) for threads in (1, 2)
            for name in ("io-detector, model alone", "io-detector, file to catalogue")]  # fmt: skip
    speed = Speed("m", 2, 0.5, ("f",), {1: (10.0, 9.0)}, (*ours, Timing("YOLO11n-seg", 1, 1, note="missing: why")))
    assert json.loads(speed.to_json())["timings"][-1]["median_ms"] is None
    assert any(line.endswith("missing: why") for line in lines(speed))
    assert any("costs 1.00 times" in line for line in lines(speed))
    assert math.isnan(ours[0].gflop)
