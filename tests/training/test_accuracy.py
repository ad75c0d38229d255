"""Errors of the catalogue's numbers, counted by hand."""

from __future__ import annotations

import math

import pytest

from detector.catalogue import Detection
from training.accuracy import accuracies
from training.labels import Truth


def pair(kind: str, true: dict[str, float], **found: object) -> tuple[Truth, Detection]:
    return Truth("0", kind, **true), Detection("f-p01", "f", kind, 0.9, 1.0, 2.0, **found)  # type: ignore[arg-type]


def test_errors_counted_by_hand() -> None:
    pairs = [
        pair("plume", {"height_km": 100.0}, plume_vent_height_km=110.0, plume_vent_height_sigma_km=12.0),
        pair("plume", {"height_km": 200.0}, plume_vent_height_km=150.0, plume_vent_height_sigma_km=12.0),
        pair("plume", {"height_km": 80.0}),  # not measured
        pair("hotspot", {"power_gw_um": 10.0}, spectral_power_gw_um=12.0, spectral_power_sigma_gw_um=1.0),
        pair("hotspot", {"power_gw_um": 10.0}, spectral_power_gw_um=5.0, flags="EDGE|SATURATED"),  # a bound
        pair(
            "hotspot", {"lat_deg": 0.0, "lon_e_deg": -10.0}, lat_deg=0.0, lon_e_deg=-9.0, lon_w_deg=9.0,
            position_sigma_deg=0.5,
        ),
    ]  # fmt: skip
    height, place, power, kelvin = accuracies(pairs)
    assert (height.count, height.covered) == (2, 0.5)
    assert (height.error, height.bias) == (pytest.approx(0.175), pytest.approx(-0.075))
    assert (place.count, place.error, place.covered) == (1, pytest.approx(1.0, rel=1e-6), 0.0)
    assert math.isnan(place.bias)
    assert (power.count, power.error, power.bias, power.covered) == (1, pytest.approx(0.2), pytest.approx(0.2), 0.0)
    assert kelvin.count == 0
    assert math.isnan(kelvin.error)


def test_a_temperature_comes_from_two_bands_of_one_moment() -> None:
    from detector.thermal import band_of, band_radiance

    rows = []
    for name, second in (("L", 0), ("M", 30)):
        band = band_of("jiram", name)
        assert band is not None
        power = math.pi * float(band_radiance(band, 600.0)) * 50.0 / 1000
        rows.append(
            pair(
                "hotspot", {"temperature_k": 610.0}, instrument="jiram", filter=name, lat_deg=3.0, lon_w_deg=5.0,
                lon_e_deg=-5.0, position_sigma_deg=0.2, emission_deg=30.0,
                start_time_utc=f"2023-12-30T00:00:{second:02d}",
                spectral_power_gw_um=power, spectral_power_sigma_gw_um=0.1 * power,
            )
        )  # fmt: skip
    kelvin = accuracies(rows)[3]
    assert kelvin.count == 2
    assert kelvin.error == pytest.approx(10.0, abs=1.0)
    assert kelvin.covered == 1.0
