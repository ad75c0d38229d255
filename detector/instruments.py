"""Camera constants: what a reader must know and no label says.

Sources
-------
* SSI: filters, gain ratios, frame-duration codes and the I/F constants from the Galileo SSI calibration program
  ``galsos`` (nasa/VICAR) and ISIS ``gllssical``; IFOV and focal length from the instrument kernel ``gll36001.ti``.
  Electrons per DN are Klaasen et al. (1997) as recalled, consistent with the published gain ratios.
* JunoCam: instrument kernel ``juno_junocam_v03.ti`` (focal length, pixel, distortion, 23 dark columns before 1608
  photoactive ones), ISIS ``junocam`` translation tables (bands), JunoCam SIS 1.3 Appendix C (companding table).
* JIRAM: instrument kernel ``juno_jiram_v02.ti`` (IFOV); Mura et al. and Davies et al. (band widths); saturation
  radiance 0.0073 / exposure from EDR counts of 12000.
* SRU: SRU EDR SIS (512 x 512, dummy rows and columns); focal length 1760.21 px.
* LORRI: Cheng et al. (2008): 4.96 microradians a pixel, pivot wavelength 0.6076 micrometres (also in the FITS header).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from detector.frame import Noise


@dataclass(frozen=True)
class Camera:
    """One camera.

    Attributes:
        name: the ``Frame.instrument`` it stands for.
        ifov_rad: angle of one pixel on the optical axis.
        shape: (rows, columns) of a full frame.
        wavelength_um: effective wavelength of each filter.
        read_noise: 1-sigma of a dark pixel in the frame's unit; NaN where not known.
        saturation: value at and above which a pixel is saturated, in the file's own counts; inf where not known.
        radial: (k1, k2) of r_image = r (1 + k1 r² + k2 r⁴), r in pixels from the optical axis.

    """

    name: str
    ifov_rad: float
    shape: tuple[int, int]
    wavelength_um: Mapping[str, float] = field(default_factory=dict)
    read_noise: float = math.nan
    saturation: float = math.inf
    radial: tuple[float, float] = (0.0, 0.0)

    def wavelength(self, filter_name: str) -> float:
        """Effective wavelength of a filter in micrometres; NaN for a filter that is not in the table."""
        return self.wavelength_um.get(filter_name, math.nan)


@dataclass(frozen=True)
class SsiFilter:
    """One position of the SSI filter wheel (galsos, calibration file of Klaasen et al.).

    Attributes:
        name: as FILTER_NAME says it.
        band_um: full band, short and long edge.
        effective_um: effective wavelength.
        s1: I/F per foot-lambert at 5.2 AU, before and from orbit G29 on.
        s2: nW cm-2 sr-1 nm-1 per foot-lambert, before and from orbit G29 on.

    """

    name: str
    band_um: tuple[float, float]
    effective_um: float
    s1: tuple[float, float]
    s2: tuple[float, float]


# FILTER_NUMBER is the index.
SSI_FILTERS = (
    SsiFilter("CLEAR", (0.360, 1.050), 0.611, (0.004358, 0.004358), (7.853, 7.926)),
    SsiFilter("GREEN", (0.510, 0.610), 0.559, (0.00244, 0.002324), (5.315, 5.063)),
    SsiFilter("RED", (0.620, 0.730), 0.671, (0.005155, 0.005094), (9.363, 9.259)),
    SsiFilter("VIOLET", (0.360, 0.440), 0.404, (0.0004384, 0.0004598), (0.8107, 0.851)),
    SsiFilter("IR-7560", (0.750, 0.790), 0.756, (0.008007, 0.00821), (11.77, 12.08)),
    SsiFilter("IR-9680", (0.940, 1.050), 0.986, (0.01486, 0.01749), (13.56, 15.97)),
    SsiFilter("IR-7270", (0.725, 0.750), 0.734, (0.007587, 0.007686), (11.81, 11.97)),
    SsiFilter("IR-8890", (0.870, 0.900), 0.887, (0.0112, 0.01275), (12.76, 14.52)),
)
# GAIN_MODE_ID -> electrons per DN; gain states 1..4 of the VICAR label are these in order.
SSI_GAIN_E_PER_DN = {"400K": 1822.0, "100K": 378.0, "40K": 187.0, "10K": 38.7}
# The frame times (s) at which the CCD is read 2 x 2 summed, and their RATE codes in the VICAR label.
SSI_SUMMED_FRAME_S = (2.333, 15.166)
SSI_FRAME_S_BY_RATE = {1: 2.333, 2: 8.667, 3: 30.333, 4: 60.667, 5: 15.166}
SSI_SUMMED_TELEMETRY = ("HIS", "AI8")

SSI = Camera(
    name="galileo_ssi",
    ifov_rad=10.16e-6,
    shape=(800, 800),
    wavelength_um={f.name: f.effective_um for f in SSI_FILTERS},
    read_noise=1.0,  # DN: 40 e- read noise, 8-bit rounding and uneven bit weights together
    saturation=255.0,
    radial=(2.4976983626e-5 * 0.01524**2, 0.0),  # per mm² x (mm a pixel)²; after the cover came off in April 1994
)

JUNOCAM = Camera(
    name="junocam",
    ifov_rad=672.7e-6,
    shape=(128, 1648),
    wavelength_um={"BLUE": 0.4801, "GREEN": 0.5535, "RED": 0.6989, "METHANE": 0.8933},
    read_noise=1.0,  # linear DN: sky of the EDR strips of orbits 36 and 43 scatters by 0.3 .. 1.3 DN with the TDI count
    saturation=2879.0,
    radial=(-5.9624209455667325e-08, 2.7381910042256151e-14),
)
JUNOCAM_FOCAL_PX = 10.95637 / 0.0074
# Row of the optical axis counted from the first row of the filter's framelet.
JUNOCAM_AXIS_Y_PX = {"BLUE": 158.48, "GREEN": 3.48, "RED": -151.52, "METHANE": 315.48}
# Unlit columns left and right, and soft rows at the top and bottom of a framelet.
JUNOCAM_BORDER = {"left": 25, "right": 17, "top": 2, "bottom": 2}
JUNOCAM_SPIN_RAD_S = 2 * 2 * math.pi / 60
# In the camera's frame (columns, rows, into the scene), by the attitude of perijove 1: kernels
# juno_sc_rec_160821_160827_v01.bc and juno_v12.tf; turns that count up carry the camera down the mosaic.
JUNOCAM_SPIN_AXIS = (0.99999544, -0.00152, 0.00261)
JUNOCAM_INTERFRAME_DELTA_S = 0.001  # the true delay is this much longer than INTERFRAME_DELAY
JUNOCAM_USUAL_DELAY_S = 0.372
# Letter of the product id -> filters, in the order of the strip.
JUNOCAM_FILTERS = {
    "A": ("BLUE", "GREEN", "RED", "METHANE"),
    "C": ("BLUE", "GREEN", "RED"),
    "T": ("BLUE", "RED"),
    "B": ("BLUE",),
    "G": ("GREEN",),
    "R": ("RED",),
    "M": ("METHANE",),
}

JIRAM = Camera(
    name="jiram",
    ifov_rad=237.767e-6,
    shape=(128, 432),
    wavelength_um={"L": 3.455, "M": 4.780},
)
# Effective widths by which the literature divides band radiances (Davies et al.), micrometres.
JIRAM_WIDTH_UM = {"L": 0.290, "M": 0.4975}
JIRAM_SATURATION_W_S = 0.0073

SRU = Camera(name="sru", ifov_rad=1 / 1760.21137, shape=(512, 512), wavelength_um={"": 0.70})
LORRI = Camera(name="lorri", ifov_rad=4.96357e-6, shape=(1024, 1024), wavelength_um={"": 0.6076})

CAMERAS = {camera.name: camera for camera in (SSI, JUNOCAM, JIRAM, SRU, LORRI)}


@cache
def junocam_linear() -> NDArray[np.float32]:
    """(256,) float32: linear DN, 0..2879, of each square-root companded value."""
    text = resources.files("detector").joinpath("junocam_sqroot.csv").read_text(encoding="ascii")
    table = np.loadtxt(text.splitlines(), delimiter=",", dtype=np.float32)
    linear = np.ascontiguousarray(table[:, 1])
    linear.flags.writeable = False
    return linear


def ssi_noise(gain_mode: str) -> Noise:
    """Noise of an SSI frame in DN; the gain is NaN for a GAIN_MODE_ID that is not one of 400K, 100K, 40K, 10K."""
    return Noise(read=SSI.read_noise, gain=SSI_GAIN_E_PER_DN.get(gain_mode, math.nan))


def jiram_saturation(exposure_s: float, band: str, unit: str) -> float:
    """Radiance at which a JIRAM pixel saturates, 0.0073 / exposure, in ``unit``; inf where that is not known."""
    if not exposure_s > 0:
        return math.inf
    band_radiance = JIRAM_SATURATION_W_S / exposure_s
    return band_radiance / JIRAM_WIDTH_UM[band] if unit.endswith("um-1") else band_radiance
