"""What simulated frames are drawn from: the simulator's own code and the map of Io."""

from __future__ import annotations

import hashlib
from pathlib import Path

from training.simulate.surface import map_digest


def source_digests() -> dict[str, str]:
    """``simulator_sha256`` of this folder's code, and ``map_sha256`` of the mosaic (``drawn`` without one)."""
    code = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py")))
    return {"simulator_sha256": hashlib.sha256(code).hexdigest(), "map_sha256": map_digest()}
