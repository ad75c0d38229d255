"""Black bodies through a camera's bands: radiance at a temperature, and temperature from the ratio of two bands.

A band is a box. JIRAM's boxes are as wide as the literature divides its radiances by (0.290 and 0.4975 um, Davies et
al.); SSI's are the full widths of its filters (Klaasen et al. 1997).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from detector.instruments import JIRAM, JIRAM_WIDTH_UM, SSI, SSI_FILTERS

PLANCK, LIGHT, BOLTZMANN = 6.62607015e-34, 2.99792458e8, 1.380649e-23
"""J s, m/s, J/K: exact since 2019."""
TEMPERATURES_K = (100.0, 3000.0)
"""Colour temperatures are sought between these; lava is never hotter than 2000 K."""
STEPS = 600
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)

Band = tuple[float, float]
Floats = NDArray[np.float64]


def planck(wavelength_um: float | Floats, temperature_k: float | Floats) -> Floats:
    """Spectral radiance of a black body, W m-2 sr-1 um-1; arrays broadcast."""
    metres = np.asarray(wavelength_um, float) * 1e-6
    exponent = np.minimum(PLANCK * LIGHT / (metres * BOLTZMANN * np.asarray(temperature_k, float)), 700.0)
    return np.asarray(2e-6 * PLANCK * LIGHT**2 / metres**5 / np.expm1(exponent))


def band_of(instrument: str, filter_name: str) -> Band | None:
    """Edges of a filter in um; None for one whose radiance is not calibrated here."""
    if instrument == JIRAM.name and filter_name in JIRAM_WIDTH_UM:
        centre, half = JIRAM.wavelength(filter_name), JIRAM_WIDTH_UM[filter_name] / 2
        return centre - half, centre + half
    if instrument == SSI.name:
        return next((position.band_um for position in SSI_FILTERS if position.name == filter_name), None)
    return None


def band_radiance(band: Band, temperature_k: float | Floats) -> Floats:
    """Mean spectral radiance of a black body across a band, W m-2 sr-1 um-1, in the shape of the temperatures."""
    wavelength = (band[0] + band[1]) / 2 + (band[1] - band[0]) / 2 * _NODES
    return np.asarray(planck(wavelength, np.asarray(temperature_k, float)[..., None]) @ _WEIGHTS / 2)


def colour_temperature(first: Band, second: Band, ratio: float, ratio_sigma: float) -> tuple[float, float]:
    """Temperature of the black body that is ``ratio`` times as bright in the first band as in the second.

    Args:
        first, second: two bands.
        ratio: of their mean spectral radiances, > 0.
        ratio_sigma: its relative 1-sigma.

    Returns:
        Temperature and 1-sigma in K; NaN twice for a ratio that no temperature between TEMPERATURES_K gives.

    """
    if not ratio > 0:
        return math.nan, math.nan
    temperature, curve = _curve(first, second)
    wanted, order = math.log(ratio), 1 if curve[-1] > curve[0] else -1
    if not order * curve[0] <= order * wanted <= order * curve[-1]:
        return math.nan, math.nan
    found = float(np.interp(wanted, curve[::order], temperature[::order]))
    steep = abs(float(np.interp(found, temperature, np.gradient(curve, temperature))))
    return found, ratio_sigma / steep


@cache
def _curve(first: Band, second: Band) -> tuple[Floats, Floats]:
    """Temperatures, K, and the logarithm of the ratio at each; where a band holds no light at all it is left out."""
    temperature = np.geomspace(*TEMPERATURES_K, STEPS)
    one, other = band_radiance(first, temperature), band_radiance(second, temperature)
    lit = (one > 1e-200) & (other > 1e-200)
    return temperature[lit], np.log(one[lit] / other[lit])
