"""Memory stays flat over many decoded clips, in each of two workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.plugins.video.films import film
from torch.utils.data import DataLoader, Dataset

from contrapose import build
from contrapose.types import Sample
from contrapose_video.modality import Video

CLIPS, WARM = 10_000, 1_000


def resident() -> int:
    """Bytes that this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Decoded(Dataset[list[int]]):
    """How much memory the worker holds after each clip."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.view = build("view", {"use": "video/clip", "frames": 4})

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> list[int]:
        footage = Video().load({"file": f"{i % 4}.mp4"}, self.folder)
        self.view(Sample(i, {"video": footage}), np.random.default_rng(i))
        return [i, resident()]


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_clips(tmp_path: Path) -> None:
    """What decord's readers leave behind when they are kept (its issues 1, 27, 157, 208, 304)."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")
    for i in range(4):
        (tmp_path / f"{i}.mp4").write_bytes(film(12 + i, codec="libx264" if i % 2 else "mpeg4"))
    loader = DataLoader(Decoded(tmp_path, CLIPS), batch_size=50, num_workers=2, collate_fn=list)
    held = [max(size for _, size in batch) for batch in loader]
    early, late = max(held[WARM // 50 : 2 * WARM // 50]), max(held[-WARM // 50 :])
    assert late - early < 16 * 2**20, f"grew by {(late - early) / 2**20:.0f} MiB over {CLIPS - 2 * WARM} clips"
