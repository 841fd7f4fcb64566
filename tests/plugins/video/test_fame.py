"""FAME's masks against its steps in numpy, pixel by pixel, and what merging keeps."""

from __future__ import annotations

import colorsys
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import correlate
from tests.plugins.video.films import film
from tests.plugins.video.test_methods import HEAD, batch, method, same_value_and_gradient
from torch.nn import functional as F

from contrapose import build
from contrapose.config import Config
from contrapose.engine.build import Parts
from contrapose.errors import ConfigError
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.toy import outputs
from contrapose.types import ViewBatch
from contrapose_video.fame import Fame, foreground

Map = NDArray[np.float64]


def clips(n: int = 5, frames: int = 4, height: int = 40, width: int = 44) -> torch.Tensor:
    """Float64 (n, 3, T, H, W): a coloured square that moves over a grainy ground, of another colour each."""
    rng = np.random.default_rng(0)
    made = rng.uniform(0, 0.4, (n, 3, 1, height, width)).repeat(frames, axis=2)
    for i in range(n):
        for t in range(frames):
            top, left = 4 + 3 * i, 2 + 6 * t
            made[i, :, t, top : top + 12, left : left + 12] = rng.uniform(0.3, 1, (3, 1, 1)) * rng.uniform(
                0.9, 1, (12, 12)
            )
    return torch.from_numpy(made)


def blurred(picture: Map) -> Map:
    k = int(0.1 * min(picture.shape)) // 2 * 2 + 1
    line = np.array([math.exp(-((i / (k / 3)) ** 2) / 2) for i in range(-(k // 2), k // 2 + 1)])
    return np.asarray(correlate(picture, np.outer(line, line) / line.sum() ** 2, mode="mirror"))


def largest(values: Map, count: int) -> list[int]:
    """The places of the largest values; of equals the first."""
    return sorted(range(values.size), key=lambda i: (-values.flat[i], i))[:count]


def colour(rgb: Map) -> tuple[int, int, int]:
    hue, saturation, value = colorsys.rgb_to_hsv(*rgb)
    angle = 2 * math.pi * hue
    axes = (saturation * math.cos(angle) + 1) / 2, (saturation * math.sin(angle) + 1) / 2, value
    x, y, z = (round(9 * axis) for axis in axes)
    return x, y, z


def reference(clip: Map, beta: float) -> NDArray[np.bool_]:
    """The mask of one clip (3, T, H, W), step by step as in section 3.2 and the authors' code."""
    _, frames, height, width = clip.shape
    motion = sum(np.abs(clip[:, t] - clip[:, t + 1]).sum(axis=0) for t in range(frames - 1)) / (frames - 1)
    motion = blurred(motion)
    mean = clip.mean(axis=1)
    seen = [colour(mean[:, y, x]) for y in range(height) for x in range(width)]
    moving = Counter(seen[i] for i in largest(motion, height * width // 2))
    still = Counter(seen[i] for i in largest(-motion, height * width // 10))
    total = still.total() + 1000  # each of the 10 x 10 x 10 colours is counted once more
    p = {c: moving[c] / moving.total() for c in set(seen)}
    q = {c: (still[c] + 1) / total for c in set(seen)}
    alike = np.array([p[c] / (p[c] + q[c]) for c in seen]).reshape(height, width)
    mask = np.zeros(height * width, bool)
    mask[largest(blurred(alike), int(beta * height * width))] = True
    return mask.reshape(height, width)


@pytest.mark.parametrize("beta", [0.5, 0.2])
def test_masks_are_those_of_the_papers_steps(beta: float) -> None:
    """All pixels but those that are equal to within rounding, where the two sums differ."""
    data = clips()
    made = foreground(data, beta).numpy()
    wanted = np.stack([reference(clip, beta) for clip in data.numpy()])
    assert made.sum(axis=(1, 2)).tolist() == [int(beta * 40 * 44)] * len(data)
    assert (made != wanted).mean() < 0.002


def test_what_moves_is_foreground() -> None:
    data = clips()
    mask = foreground(data)
    moved = (data.amax(dim=2) != data.amin(dim=2)).any(dim=1)
    assert float(mask[moved].double().mean()) > 0.9
    assert float(mask[~moved].double().mean()) < 0.45


def test_each_clip_gets_the_background_of_another_and_keeps_its_own_foreground() -> None:
    data, index = clips(), torch.tensor([0, 2, 3, 4, 6])
    sample = torch.arange(100, 107)
    seen = set()
    for seed in range(20):
        views = ViewBatch(data, "video", index, {"time": torch.arange(5.0)})
        made = Fame("a").mix(views, sample, torch.Generator().manual_seed(seed))
        others = made.meta["other"].tolist()
        seen.add(tuple(others))
        assert sorted(others) == [100, 102, 103, 104, 106]
        mask = foreground(data)[:, None, None].expand_as(data)
        for i, other in enumerate(others):
            j = sample[index].tolist().index(other)
            assert j != i
            assert torch.equal(made.data[i], torch.where(mask[i], data[i], data[j]))
        assert torch.equal(made.meta["time"], views.meta["time"])
    assert len(seen) == 4, "each roll but by 0"


def test_one_clip_alone_stays_and_one_frame_is_refused() -> None:
    views = ViewBatch(clips(1), "video", torch.tensor([0]))
    made = Fame("a").mix(views, torch.tensor([7]), torch.Generator())
    assert torch.equal(made.data, views.data)
    assert foreground(torch.full((2, 3, 2, 9, 9), 0.5)).sum(dim=(1, 2)).tolist() == [40, 40]  # nothing moves
    with pytest.raises(ConfigError, match="2 at least"):
        Fame("a").mix(ViewBatch(clips(2, frames=1), "video", torch.arange(2)), torch.arange(2), torch.Generator())


def test_the_method_is_moco_in_both_directions_between_the_merged_clip_and_the_other() -> None:
    data: Any = build("method", {"use": "video/fame"})
    assert data["views"] == {"fused": {"use": "video/fame", "of": "a"}}
    made, slots = method("fame", {"online": HEAD}, size=8), ("a", "b", "fused")
    made(batch(1, slots))
    made.advance()
    now = batch(2, slots)

    def expected() -> torch.Tensor:
        out = outputs(made, now)
        fused, b = F.normalize(out.rows("online").z, dim=1).chunk(2)
        fused_key, b_key = F.normalize(out.rows("key").z.detach(), dim=1).chunk(2)
        queue = out.rows("queue").z
        losses = []
        for q, k in ((fused, b_key), (b, fused_key)):
            logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], 1) / 0.1
            losses.append(F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long)))
        return torch.stack(losses).mean()

    assert len(outputs(made, now).rows("queue")) == 8
    same_value_and_gradient(made, now, expected)


@pytest.mark.slow
def test_two_processes_equal_one() -> None:
    made = method("fame", {"online": HEAD}, size=8)
    assert_ddp_equivalent(made, [batch(seed, ("a", "b", "fused")) for seed in (0, 1)])


def test_a_config_with_the_method_makes_the_merged_view(tmp_path: Path) -> None:
    """Of the views that a sampler makes, whose slots are `a` and `b` alone."""
    for i in range(4):
        (tmp_path / f"{i}.mp4").write_bytes(film(12 + i))
    (tmp_path / "videos.csv").write_text("file\n" + "\n".join(f"{i}.mp4" for i in range(4)))
    clip = {"use": "video/cvrl", "frames": 2, "stride": 1, "side": 32, "size": 32, "then": "video/crop"}
    run = {"views": {"video": clip}, "method": "video/fame", "encoders": {"video": {"use": "video/small", "width": 2}}}
    train = {"epochs": 1, "batch_size": 4, "device": "cpu", "loggers": []}
    config = {"data": str(tmp_path / "videos.csv"), "modalities": {"video": "file"}, "split": "none", **run}
    parts = Parts(Config.of(config | {"train": train}))
    assert sorted(parts.plan.names) == ["video/a", "video/b", "video/fused"]
    (made,) = parts.train_loader()
    assert made.views["video/fused"].data.shape == (4, 3, 2, 32, 32)
    assert not torch.equal(made.views["video/fused"].data, made.views["video/a"].data)
