"""What no finder can beat: the matched filter that knows each object's template.

In white Gaussian noise of known sigma the filter's output at an object's place is normal with mean ``snr_mf`` and
deviation 1, and with mean 0 where there is nothing (North 1943; Kay 1998, *Detection theory*, 4.3). A threshold T that
lets ``rate`` false alarms a frame through when ``trials`` independent places are looked at satisfies
``trials (1 - Phi(T)) = rate``, and the object is found with

    P(snr_mf) = Phi(snr_mf - T),    T = Phi^-1(1 - rate / trials).

It is a ceiling because a real finder knows neither the template nor the surface, the radiation hits and the glare that
stand in its way: none of them is in ``snr_mf``. What it leaves out in favour of the finder, that noise may lift a
neighbouring place over the threshold too, is worth less than 0.3 in ``snr_mf`` at half completeness.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]


def threshold(rate: ArrayLike, trials: ArrayLike) -> Floats:
    """Signal-to-noise that noise exceeds ``rate`` times a frame when ``trials`` independent places are looked at."""
    share = np.clip(np.asarray(rate, float) / np.maximum(np.asarray(trials, float), 1.0), 1e-15, 1 - 1e-9)
    return np.asarray(norm.isf(share), float)


def detected(snr: ArrayLike, rate: ArrayLike, trials: ArrayLike) -> Floats:
    """Chance that the matched filter finds an object; shapes broadcast.

    Args:
        snr: ``snr_mf`` of the object.
        rate: false alarms a frame.
        trials: independent places looked at on its frame: what is searched over what the object covers.

    """
    return np.asarray(norm.cdf(np.asarray(snr, float) - threshold(rate, trials)), float)
