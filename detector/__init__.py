"""From an archive file to a catalogue of Io's plumes and hot spots: file -> Frame -> scores -> Mask -> Catalogue.

Conventions, the same everywhere in the project
-----------------------------------------------
* Arrays are indexed ``[row, column]``; points are ``(x, y)`` = (column, row).
* An integer coordinate is the **centre** of a pixel: the first covers -0.5 .. 0.5. PDS lines and samples count from 1.
* Classes, in this order: ``plume``, ``hotspot``. They are two independent masks; a hot spot under a plume is both.
* Longitudes are kept both ways: ``lon_e_deg`` (east-positive) in [-180, 180) and ``lon_w_deg`` (west) in [0, 360).
  Latitude is planetocentric. Io's radii are 1829.4 / 1819.4 / 1815.7 km; the sphere is 1821.49 km (IAU_2015:50100).
* Units are part of a name: ``_km _deg _px _s _um _k _sr``. NaN is "not known"; an unobserved pixel is not ``valid``.
* Position angles on the limb are radians, 0 = up (towards row 0), growing clockwise as the picture is seen.
"""

from detector.catalogue import Catalogue, Detection
from detector.detect import Detector, Result
from detector.errors import DetectorError, InputError, ModelError
from detector.frame import CLASSES, Frame, Noise, View
from detector.levels import Levels, measure_levels
from detector.limb import Limb, find_limb
from detector.mask import Mask
from detector.readers import read_frame, read_frames

__all__ = [
    "CLASSES",
    "Catalogue",
    "Detection",
    "Detector",
    "DetectorError",
    "Frame",
    "InputError",
    "Levels",
    "Limb",
    "Mask",
    "ModelError",
    "Noise",
    "Result",
    "View",
    "find_limb",
    "measure_levels",
    "read_frame",
    "read_frames",
]
