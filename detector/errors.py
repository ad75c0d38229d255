"""What can go wrong, in one tree.

DetectorError
├── InputError    a file or a setting is not what it must be (the file, the value, what was expected, what to do)
└── ModelError    the model file is missing, damaged, or refuses the input
"""

from __future__ import annotations

from pathlib import Path


class DetectorError(Exception):
    """Any error that the user can do something about."""


class InputError(DetectorError):
    """A file or a setting that cannot be used.

    Args:
        source: the file (or the setting) that is at fault.
        problem: what is wrong, with the value found and the value expected.
        remedy: what the user can do; may be empty.

    """

    def __init__(self, source: Path | str, problem: str, remedy: str = "") -> None:
        self.source, self.problem, self.remedy = source, problem, remedy
        super().__init__(f"{source}: {problem}" + (f" -> {remedy}" if remedy else ""))


class ModelError(InputError):
    """The model file is missing, damaged, or not one of ours."""
