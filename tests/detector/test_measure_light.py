"""Calibration, black bodies and colour temperatures: closed forms, published numbers, and the simulator's cameras."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.calibration import (
    SSI_ELECTRONS_PER_MS,
    SSI_SHUTTER_S,
    calibrated,
    i_over_f_per_dn,
    spectral_radiance_per_unit,
    sun_distance_au,
)
from detector.catalogue import Detection
from detector.colour import with_temperatures
from detector.errors import InputError
from detector.frame import Frame, Noise, View
from detector.instruments import SSI_FILTERS
from detector.products import product_of
from detector.readers import read_frames
from detector.thermal import band_of, band_radiance, colour_temperature
from training.simulate.bands import band_mean_radiance, bandpass
from training.simulate.dice import Dice
from training.simulate.draw import draw_exposure
from training.simulate.product import expose
from training.simulate.recipe import Recipe

L, M = band_of("jiram", "L"), band_of("jiram", "M")
CLEAR, IR = band_of("galileo_ssi", "CLEAR"), band_of("galileo_ssi", "IR-9680")


# -- black bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kelvin", "low", "high"), [(300, 0.067, 1.01), (400, 2.1, 12.3), (600, 68, 153), (1000, 1110, 1190)]
)
def test_band_radiances_of_the_fact_sheet(kelvin: float, low: float, high: float) -> None:
    """Full pixels, W m-2 sr-1, in boxes of 0.29 um about 3.455 and 0.48 um about 4.78."""
    assert 0.29 * float(band_radiance(L, kelvin)) == pytest.approx(low, rel=0.03)
    assert 0.48 * float(band_radiance(M, kelvin)) == pytest.approx(high, rel=0.03)


@pytest.mark.parametrize(("instrument", "name"), [("jiram", "L"), ("jiram", "M"), ("galileo_ssi", "IR-9680")])
def test_the_simulator_has_the_same_black_bodies(instrument: str, name: str) -> None:
    for kelvin in (300.0, 600.0, 1400.0):
        theirs = band_mean_radiance(bandpass(instrument, name), kelvin)
        assert float(band_radiance(band_of(instrument, name), kelvin)) == pytest.approx(theirs, rel=1e-6)


@settings(max_examples=60)
@given(st.floats(400, 2500), st.sampled_from([(L, M), (M, L), (CLEAR, IR)]))
def test_a_temperature_is_found_back_from_its_ratio(kelvin: float, bands: tuple) -> None:
    ratio = float(band_radiance(bands[0], kelvin) / band_radiance(bands[1], kelvin))
    found, sigma = colour_temperature(*bands, ratio, 0.002)
    assert found == pytest.approx(kelvin, rel=2e-3)
    warmer, _ = colour_temperature(*bands, ratio * (1.002 if bands[0] is not M else 1 / 1.002), 0.002)
    assert warmer - found == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, 1e9])
def test_a_ratio_that_no_black_body_has_gives_no_temperature(ratio: float) -> None:
    assert all(map(math.isnan, colour_temperature(L, M, ratio, 0.1)))


# -- Galileo SSI ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(4))
def test_i_over_f_is_the_simulators(index: int) -> None:
    """Within a few per cent once the throughput that no label tells, 0.8 to 1.2, is divided out."""
    recipe = Recipe(instrument="ssi", no_limb=0.0, shape=(800, 800))
    _, _, camera = draw_exposure(recipe, Dice(31, index))
    (sample,) = expose("ssi", Recipe(no_limb=0.0), 31, index).samples
    assert sample.frame.exposure_s == camera.exposure_s
    mine, theirs = calibrated(sample.frame), camera.i_over_f(sample.frame.image) * camera.throughput
    bright = sample.frame.valid & (sample.frame.image > 60) & (sample.frame.image < 250)
    if bright.any():
        dark = camera.i_over_f(np.float32(camera.pedestal + 3)) * camera.throughput  # the sky may be 3 DN off the dark
        assert np.abs(mine.image[bright] - theirs[bright]).max() <= abs(float(dark)) + 0.03 * theirs[bright].max()
    assert mine.unit == "I/F"
    assert SSI_ELECTRONS_PER_MS[camera.band.name] * camera.throughput == pytest.approx(
        camera.bright * camera.gain / (4 if camera.summed else 1) / ((camera.exposure_s - SSI_SHUTTER_S) * 1000)
    )


def ssi(**known: object) -> Frame:
    terms: dict[str, object] = {
        "instrument": "galileo_ssi", "filter": "CLEAR", "exposure_s": 0.0125, "noise": Noise(1.0, 187.0), "unit": "DN",
    }  # fmt: skip
    return Frame.of(np.full((800, 800), 20.0), id="c", **(terms | known))


def test_dn_scale_with_exposure_gain_and_summation() -> None:
    one = i_over_f_per_dn(ssi())
    assert one == pytest.approx(187 / (12000 * 11.25))
    assert i_over_f_per_dn(ssi(exposure_s=0.0125 + 0.01125)) == pytest.approx(one / 2)
    assert i_over_f_per_dn(ssi(noise=Noise(1.0, 378.0))) == pytest.approx(one * 378 / 187)
    assert i_over_f_per_dn(ssi(view=View(ifov_rad=2 * 10.16e-6))) == pytest.approx(one / 4)


def test_radiance_is_i_over_f_times_the_published_ratio() -> None:
    """S1 is I/F at 5.2 AU and S2 nW cm-2 sr-1 nm-1 of one foot-lambert; the Sun's distance cancels."""
    for filter_ in SSI_FILTERS:
        for late, moment in enumerate(("1997-06-28T00:00:00Z", "2001-08-06T00:00:00Z")):
            frame = ssi(filter=filter_.name, exposure_s=0.2, start_time=moment)
            per_dn = i_over_f_per_dn(frame) / (sun_distance_au(moment) / 5.2) ** 2
            expected = per_dn / filter_.s1[late] * filter_.s2[late] * 0.01
            assert spectral_radiance_per_unit(frame)[0] == pytest.approx(expected)


def test_jupiters_distance_from_the_sun() -> None:
    """Perihelion of May 1999: 4.951 AU; aphelion of April 2005: 5.455 AU (JPL Horizons)."""
    assert sun_distance_au("1999-05-20T00:00:00") == pytest.approx(4.951, abs=0.01)
    assert sun_distance_au("2005-04-14T00:00:00Z") == pytest.approx(5.455, abs=0.01)
    assert sun_distance_au("") == 5.2


@pytest.mark.parametrize(
    "frame", [ssi(filter="NONE"), ssi(exposure_s=math.nan), ssi(noise=Noise()), ssi(unit="I/F"), ssi(instrument="sru")]
)
def test_what_cannot_be_calibrated_is_named(frame: Frame) -> None:
    with pytest.raises(InputError, match="cannot be turned into I/F"):
        calibrated(frame)
    assert math.isnan(spectral_radiance_per_unit(frame)[0]) or frame.instrument == "galileo_ssi"


# -- colour temperature ---------------------------------------------------------------------------------------------


def row(name: str, filter_: str, power: float, **known: object) -> Detection:
    terms: dict[str, object] = {
        "lat_deg": 10.0, "lon_w_deg": 200.0, "position_sigma_deg": 0.2, "spectral_power_gw_um": power,
        "spectral_power_sigma_gw_um": 0.1 * power, "emission_deg": 20.0, "instrument": "jiram", "filter": filter_,
        "start_time_utc": "2023-12-30T00:00:00",
    }  # fmt: skip
    return Detection(name, name, "hotspot", 0.9, 5.0, 5.0, **(terms | known))  # type: ignore[arg-type]


def both(kelvin: float, area_km2: float, **known: object) -> list[Detection]:
    powers = [math.pi * float(band_radiance(band, kelvin)) * area_km2 / 1000 for band in (L, M)]
    return [row("l", "L", powers[0]), row("m", "M", powers[1], **known)]


@pytest.mark.parametrize(("kelvin", "area_km2"), [(400.0, 500.0), (800.0, 3.0), (1500.0, 0.1)])
def test_two_bands_give_temperature_and_area(kelvin: float, area_km2: float) -> None:
    first, second = with_temperatures(both(kelvin, area_km2))
    for found in (first, second):
        assert found.temperature_k == pytest.approx(kelvin, rel=3e-3)
        assert found.hot_area_km2 == pytest.approx(area_km2, rel=0.03)
    assert first.temperature_sigma_k == second.temperature_sigma_k > 0


@pytest.mark.parametrize(
    "changed",
    [
        {"lat_deg": 20.0},
        {"lat_deg": math.nan},
        {"start_time_utc": "2023-12-30T00:05:00"},
        {"start_time_utc": ""},
        {"flags": "SMALL|SATURATED"},
        {"instrument": "galileo_ssi"},
        {"filter": "L"},
        {"kind": "plume"},
        {"spectral_power_gw_um": -1.0},
    ],
)
def test_what_is_not_the_same_spot_in_two_bands_gets_no_temperature(changed: dict[str, object]) -> None:
    first, second = both(800.0, 3.0)
    rows = [first, replace(second, **changed)]
    assert with_temperatures(rows) == tuple(rows)


def test_the_nearest_partner_is_taken_and_the_order_kept() -> None:
    hot, cold = both(1000.0, 1.0), both(500.0, 30.0)
    beside = [replace(r, detection_id=f"{r.detection_id}2", lat_deg=10.3) for r in cold]
    rows = [hot[0], beside[0], beside[1], hot[1]]
    found = with_temperatures(rows)
    assert [r.detection_id for r in found] == [r.detection_id for r in rows]
    assert [round(r.temperature_k, -1) for r in found] == [1000, 500, 500, 1000]


def test_a_common_slant_does_not_widen_the_temperature() -> None:
    steep = [replace(r, emission_deg=70.0) for r in both(800.0, 3.0)]
    law = 0.35 * -math.log(math.cos(math.radians(70)))
    steep = [replace(r, spectral_power_sigma_gw_um=math.hypot(0.1, law) * r.spectral_power_gw_um) for r in steep]
    plain = with_temperatures([replace(r, emission_deg=0.0) for r in both(800.0, 3.0)])
    assert with_temperatures(steep)[0].temperature_sigma_k == pytest.approx(plain[0].temperature_sigma_k, rel=1e-6)


def test_a_real_frame_in_i_over_f(shared: Path) -> None:
    """Europa's plains, some 50 DN over the dark of C0532836239R, reflect what an icy moon can."""
    (frame,) = read_frames(product_of(shared / "data" / "galileo_ssi" / "C0532836239R.IMG"))
    light = calibrated(frame)
    assert light.unit == "I/F"
    assert 0.05 < float(np.percentile(light.image[light.valid], 90)) < 0.5
    assert light.noise.read == pytest.approx(frame.noise.read * i_over_f_per_dn(frame))
