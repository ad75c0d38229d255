"""What several tests share: the real files, when they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real files beside the checkout; a test that needs it skips without it."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real files at {SHARED}: they are not part of the repository")
    return SHARED
