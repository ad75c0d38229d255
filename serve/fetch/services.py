"""The archives and where they are: the one table of addresses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from detector.errors import InputError

SERVICES: Mapping[str, str] = {
    "opus": "https://opus.pds-rings.seti.org/opus",
    "rms": "https://opus.pds-rings.seti.org/holdings",
    "img": "https://planetarydata.jpl.nasa.gov/img/data",
    "atm": "https://atmos.nmsu.edu/PDS/data",
    "naif": "https://naif.jpl.nasa.gov/pub/naif",
    "zenodo": "https://zenodo.org",
}
"""OPUS search and the holdings of the Ring-Moon Systems node (SETI), the Cartography and Imaging Sciences node (JPL),
the Atmospheres node (NMSU), NAIF's kernels (JPL), Zenodo (CERN)."""
ADDRESS_VARIABLE = "IO_DETECTOR_URL_"
"""With the service's name in capitals: an address that replaces the table's."""
CONTACT_VARIABLE = "IO_DETECTOR_CONTACT"


def addresses(overrides: Sequence[str] = ()) -> dict[str, str]:
    """Give the address of every service: the table's, or the environment's, or that of an override.

    Args:
        overrides: ``NAME=URL`` each.

    Raises:
        InputError: for a name that is not in the table, or an address that is none.

    """
    found = {name: os.environ.get(ADDRESS_VARIABLE + name.upper(), url) for name, url in SERVICES.items()}
    for override in overrides:
        name, _, url = override.partition("=")
        if name not in SERVICES:
            raise InputError("--base-url", f"{override!r} names no service", f"NAME=URL, NAME {', '.join(SERVICES)}")
        found[name] = url
    for name, url in found.items():
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise InputError(f"address of {name}", f"{url!r}; expected http(s)://host/...", f"--base-url {name}=URL")
    return {name: url.rstrip("/") for name, url in found.items()}


def user_agent() -> str:
    """Name the project to the archives, and whom to write to where the user said so."""
    try:
        release = version("io-detector")
    except PackageNotFoundError:
        release = "0"
    contact = os.environ.get(CONTACT_VARIABLE, "").strip()
    return f"io-detector/{release} (volcanic plumes and hot spots on Io{'; ' * bool(contact)}{contact})"
