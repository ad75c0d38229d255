"""One run over several machines: each takes its shard of the products, and the folders are merged at the end.

A product's shard follows from the name of its data file alone, not from its folder: products whose frames would share a
name are in one shard, and whoever lists the products need not know of the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from detector.errors import InputError
from detector.products import JOURNAL, Product
from serve.journal import Journal, spelled

if TYPE_CHECKING:
    from serve.worker import Settings

FORM = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
REDO = "run that shard again with the same command"


@dataclass(frozen=True)
class Shard:
    """Part ``number`` of ``count``, from 1; 1 of 1 is all."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``.

        Raises:
            InputError: it is no such thing, or i is not in 1..n.

        """
        form = FORM.fullmatch(text)
        if form and 1 <= int(form[1]) <= int(form[2]):
            return cls(int(form[1]), int(form[2]))
        raise InputError("shard", f"is {text!r}, expected i/n with i in 1..n", "for example --shard 2/8")

    def __contains__(self, product: object) -> bool:
        """Whether a product is of this part."""
        if not isinstance(product, Product):
            return False
        stem = spelled(Path(product.data.stem)).casefold()
        return int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8]) % self.count == self.number - 1

    def state(self, journal: Journal, settings: Settings) -> None:
        """Write into a journal what a merge must know."""
        journal.state(shard=f"{self.number}/{self.count}", files=_files(settings))


def _files(settings: Settings) -> str:
    return json.dumps({"masks": settings.masks, "quicklooks": settings.quicklooks})


@dataclass(frozen=True)
class _Folder:
    """A shard's folder as its journal describes it."""

    path: Path
    shard: Shard
    settings: str
    files: str

    @classmethod
    def of(cls, path: Path) -> _Folder:
        if not (path / JOURNAL).is_file():
            raise InputError(path, "no run has written into this folder", "name the --out of each shard")
        with Journal(path) as journal:
            left, known = journal.unsettled(), [journal.fact(name) for name in ("shard", "settings", "files")]
        if left:
            raise InputError(path, f"{left} of its products are not done", REDO)
        return cls(path, Shard.parse(known[0]), known[1], known[2])


def gather(folders: Sequence[Path], settings: Settings, terms_settings: str) -> Settings:
    """Bring what finished shards left into one folder, as if one run had done it; its tables are still to be written.

    Args:
        folders: the output folder of every shard, in any order.
        settings: with the folder to merge into: new, or of a merge that was broken off.
        terms_settings: what the shards must have been run with.

    Returns:
        the settings with masks and pictures as the shards have them.

    Raises:
        InputError: a shard is missing, there twice, not finished, or of other settings than the rest.

    """
    found = [_Folder.of(folder) for folder in folders]
    _check(found, terms_settings)
    with Journal(settings.out) as journal:
        journal.begin([], terms_settings)
        for folder in found:
            journal.take_in(folder.path / JOURNAL)
            for kind in ("masks", "quicklook"):
                _bring(folder.path / kind, settings.out / kind)
    return replace(settings, **json.loads(found[0].files))


def _check(found: Sequence[_Folder], settings: str) -> None:
    first = found[0]
    for folder in found:
        if folder.settings != settings:
            problem = f"was made with {folder.settings!r}, expected {settings!r}"
            raise InputError(folder.path, problem, "give --model and --operating-point as the shards had them")
        if (folder.shard.count, folder.files) != (first.shard.count, first.files):
            problem = f"is shard {folder.shard.number}/{folder.shard.count} with {folder.files}"
            raise InputError(folder.path, f"{problem}, unlike {first.path}", REDO)
    numbers = sorted(folder.shard.number for folder in found)
    if numbers != list(range(1, first.shard.count + 1)):
        said = ", ".join(map(str, numbers))
        raise InputError("shards", f"are {said} of {first.shard.count}; expected each once", "name every shard's --out")


def _bring(source: Path, target: Path) -> None:
    """Link every file of a folder into another, or copy it where the file system has no links; times stay."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        place = target / path.name
        if not path.name.startswith(".") and not (place.exists() and place.samefile(path)):
            place.unlink(missing_ok=True)
            try:
                os.link(path, place)
            except OSError:
                shutil.copy2(path, place)
