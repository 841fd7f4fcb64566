"""Memory stays flat over many decoded parts, in each of two workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.plugins.audio.sounds import file, noise
from tests.plugins.video.films import film
from torch.utils.data import DataLoader, Dataset

from contrapose import build
from contrapose.types import Sample
from contrapose_audio.modality import Audio

PARTS, WARM = 10_000, 1_000


def resident() -> int:
    """Bytes that this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Decoded(Dataset[list[int]]):
    """How much memory the worker holds after each part."""

    def __init__(self, folder: Path, names: list[str], count: int) -> None:
        self.folder, self.names, self.count = folder, names, count
        self.crop = build("view", "audio/crop", rate=16000)
        self.mel = build("view", "audio/log-mel", rate=16000)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> list[int]:
        recording = Audio().load({"file": self.names[i % len(self.names)]}, self.folder)
        rng = np.random.default_rng(i)
        (part,) = self.crop(Sample(i, {"audio": recording}), rng)
        self.mel(Sample(i, {"audio": part.data}), rng)
        return [i, resident()]


def growth(folder: Path, count: int, warm: int) -> float:
    """MiB that a worker holds in the end beyond what it held once it was warm."""
    for name, kind, rate in (
        ("a.wav", "WAV", 44100),
        ("b.flac", "FLAC", 16000),
        ("c.ogg", "OGG", 22050),
        ("d.mp3", "MP3", 44100),
    ):
        (folder / name).write_bytes(file(noise(3.0, 0, rate), rate, kind))
    (folder / "e.mp4").write_bytes(film(20, sound=True))
    names = ["a.wav", "b.flac", "c.ogg", "d.mp3", "e.mp4"]
    loader = DataLoader(Decoded(folder, names, count), batch_size=50, num_workers=2, collate_fn=list)
    held = [max(size for _, size in batch) for batch in loader]
    return (max(held[-warm // 50 :]) - max(held[warm // 50 : 2 * warm // 50])) / 2**20


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_parts(tmp_path: Path) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc here")
    assert growth(tmp_path, PARTS, WARM) < 16
