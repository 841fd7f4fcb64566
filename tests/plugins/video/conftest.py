from __future__ import annotations

from pathlib import Path

import pytest
from tests.plugins.video.films import film


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """A film of 30 frames of 32 pixels, 10 a second, frame i as bright as 8 i."""
    path = tmp_path / "counted.mp4"
    path.write_bytes(film())
    return path
