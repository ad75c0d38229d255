"""What is asked for: ``key=value`` words, and spans of time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from detector.errors import InputError

MOMENT = re.compile(
    r"(?P<year>\d{4})-(?:(?P<month>\d\d)-(?P<day>\d\d)|(?P<of_year>\d{3}))"
    r"(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?)?Z?"
)


@dataclass(frozen=True)
class Span:
    """A span of time, UTC: from ``start`` up to, not including, ``end``."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        """Whether a moment is in it."""
        return self.start <= moment < self.end


@dataclass(frozen=True)
class Query:
    """A question to a source.

    Attributes:
        words: (key, value) in the order given; a word without ``=`` has the key of the source's subject.

    """

    words: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.words)

    def get(self, key: str, default: str = "") -> str:
        """Give the last value of a key."""
        return next((value for name, value in reversed(self.words) if name == key), default)

    def every(self, key: str) -> tuple[str, ...]:
        """Give all values of a key; commas part them too."""
        return tuple(part.strip() for name, value in self.words if name == key for part in value.split(",") if part)

    def others(self, known: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Give the words whose keys are not among ``known``."""
        known = set(known)
        return tuple(word for word in self.words if word[0] not in known)

    @property
    def span(self) -> Span | None:
        """The span of ``time``; None where no time is asked for."""
        text = self.get("time")
        return parse_span(text) if text else None


def parse_query(words: Sequence[str], subject: str) -> Query:
    """Parse the words of a question.

    Args:
        words: ``key=value``, or a value alone.
        subject: the key of a value alone.

    Raises:
        InputError: for a word without key or without value.

    """
    parsed = []
    for word in words:
        key, _, value = word.partition("=") if "=" in word else (subject, "=", word)
        if not key.strip() or not value.strip():
            raise InputError("QUERY", f"{word!r}; expected key=value", "for example target=Io")
        parsed.append((key.strip(), value.strip()))
    return Query(tuple(parsed))


def parse_span(text: str) -> Span:
    """Parse ``2023-12-30``, ``2023-364T08:00..2023-12-31``, ``..2000-01-01`` or ``1999-10-11..``; both ends count.

    Raises:
        InputError: for anything else, and for an end before the start.

    """
    first, dots, last = text.partition("..")
    start = _moment(first, text)[0] if first else datetime.min
    end = _moment(last if dots else first, text)[1] if (last or not dots) else datetime.max
    if end <= start:
        raise InputError("time", f"{text!r} ends before it starts", "time=START..END")
    return Span(start, end)


def parse_moment(text: str) -> datetime | None:
    """Parse an archive's UTC, calendar or day of year; None for ``N/A``, ``UNK`` and what is no time."""
    try:
        return _moment(text.strip().strip('"').strip(), text)[0]
    except InputError:
        return None


def _moment(text: str, whole: str) -> tuple[datetime, datetime]:
    """The first moment of what is named, and the first after it."""
    found = MOMENT.fullmatch(text.strip())
    if found is None:
        raise InputError("time", f"{whole!r}; expected YYYY-MM-DD[Thh:mm[:ss]] or YYYY-DDD", "time=START..END")
    part = {name: int(value) for name, value in found.groupdict(default="0").items() if name != "fraction"}
    try:
        day = datetime(part["year"], part["month"] or 1, part["day"] or 1) + timedelta(days=max(part["of_year"] - 1, 0))
        if day.year != part["year"]:
            raise ValueError("day of year is out of range for year")
        moment = day.replace(hour=part["hour"], minute=part["minute"], second=part["second"])
    except ValueError as error:
        raise InputError("time", f"{whole!r}: {error}", "time=START..END") from error
    fraction = timedelta(seconds=float(f"0.{found['fraction'] or 0}"))
    step = timedelta(seconds=1) if found["second"] else timedelta(minutes=1) if found["hour"] else timedelta(days=1)
    return moment + fraction, moment + fraction + step


def alike(value: str, patterns: Sequence[str]) -> bool:
    """Whether a value is one of the patterns (``*`` and ``?`` stand for anything), case left out."""
    return any(fnmatchcase(value.strip().upper(), pattern.strip().upper()) for pattern in patterns)
