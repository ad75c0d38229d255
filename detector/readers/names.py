"""Names that are safe in a file name and the same on every machine."""

from __future__ import annotations

import re


def frame_id(stem: str, part: str = "") -> str:
    """Make a frame's id from its file's stem and, where it has several, the part's name: letters, digits, ``._-``."""
    joined = f"{stem}_{part}" if part else stem
    return re.sub(r"[^A-Za-z0-9._-]+", "_", joined).lstrip(".") or "frame"


def target_name(text: str) -> str:
    """Give a target's name in upper case; empty for N/A and its like."""
    name = text.strip().upper()
    return "" if name in {"N/A", "UNK", "NULL", "NONE", "UNKNOWN"} else name
