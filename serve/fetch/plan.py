"""What a fetch will cost, before it begins: files, bytes, room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.errors import InputError
from serve.fetch.provenance import Provenance
from serve.fetch.remote import Product, Remote
from serve.fetch.web import Web

CONFIRM_ABOVE_BYTES = 1_000_000_000
SAMPLE = 24
"""Files whose size is asked for where the service does not state it; the rest is reckoned from them."""
SPARE = 1.05
"""Room that must be free, in units of what comes."""


@dataclass(frozen=True)
class Plan:
    """What is to be fetched.

    Attributes:
        products: all that match.
        wanted: their files that are not here yet; what several products share stands once.
        had: how many are here.
        size_bytes: of those.
        exact: whether that is stated, not reckoned.

    """

    products: tuple[Product, ...]
    wanted: tuple[Remote, ...]
    had: int
    size_bytes: int
    exact: bool

    def __str__(self) -> str:
        about = "" if self.exact else "about "
        here = f"; {self.had} here already" if self.had else ""
        cost = f"{counted(len(self.wanted), 'file')} to fetch, {about}{in_units(self.size_bytes)}"
        return f"{counted(len(self.products), 'product')}, {cost}{here}"


def make_plan(products: Sequence[Product], provenance: Provenance, web: Web) -> Plan:
    """Find out what is to be fetched and how big it is; sizes that nobody states are asked for, of a sample."""
    listed = (remote for product in products for remote in product.files if not remote.problem)
    files = {remote.place: remote for remote in listed}
    wanted = tuple(remote for remote in files.values() if not provenance.holds(remote))
    stated = sum(remote.size_bytes for remote in wanted if remote.size_bytes is not None)
    unknown = [remote for remote in wanted if remote.size_bytes is None]
    reckoned, exact = _reckon(unknown, web)
    return Plan(tuple(products), wanted, len(files) - len(wanted), stated + reckoned, exact)


def _reckon(files: Sequence[Remote], web: Web) -> tuple[int, bool]:
    """Bytes of files by asking for the sizes of some, evenly over each kind of ending; whether that is exact."""
    total, exact = 0.0, True
    kinds = {remote.place.suffix.lower() for remote in files}
    for kind in sorted(kinds):
        alike = [remote for remote in files if remote.place.suffix.lower() == kind]
        step = max(1, -(-len(alike) // max(SAMPLE // len(kinds), 1)))
        sizes = [size for remote in alike[::step] if (size := web.size_of(remote.url)) is not None]
        total += sum(sizes) / len(sizes) * len(alike) if sizes else 0.0
        exact = exact and len(sizes) == len(alike)
    return round(total), exact


def check_room(plan: Plan, out: Path) -> None:
    """Refuse a fetch that the disk cannot hold.

    Raises:
        InputError: there is less room than is needed.

    """
    folder = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < plan.size_bytes * SPARE:
        needed = f"{in_units(plan.size_bytes)} are needed"
        raise InputError(out, f"{in_units(free)} are free; {needed}", "make room, or fetch less (--limit)")


def counted(number: int, what: str) -> str:
    """Write a number of things for a person: ``1 file``, ``2 files``."""
    return f"{number} {what}{'s' * (number != 1)}"


def in_units(size_bytes: float) -> str:
    """Write a number of bytes for a person: ``813 kB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.{0 if unit == 'bytes' or size_bytes >= 10 else 1}f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"
