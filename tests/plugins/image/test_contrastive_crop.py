from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

import contrapose
from contrapose import ConfigError, Sample, build
from contrapose.clock import Clock
from contrapose.testing import assert_resume_exact
from contrapose.types import Rows
from contrapose_image.contrastive_crop import ContrastiveCrop, heat_boxes, heat_maps

Array = NDArray[np.uint8]


def authors_box(features: torch.Tensor, size: int, threshold: float) -> list[float]:
    """``update_box`` of the authors' code for one picture: features (C, H, W)."""
    flat = features.sum(0).view(1, -1)
    flat = flat - flat.min(1, keepdim=True)[0]
    flat = flat / flat.max(1, keepdim=True)[0]
    heat = F.interpolate(flat.view(1, 1, *features.shape[1:]), size=(size, size), mode="bilinear")[0, 0]
    rows = torch.nonzero((heat.max(1)[0] > threshold).int()).view(-1)[[0, -1]] / size
    columns = torch.nonzero((heat.max(0)[0] > threshold).int()).view(-1)[[0, -1]] / size
    return [float(rows[0]), float(columns[0]), float(rows[1]), float(columns[1])]


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.6])
def test_boxes_are_the_authors(threshold: float) -> None:
    features = torch.randn(6, 5, 7, 7, generator=torch.Generator().manual_seed(0)).relu() ** 3
    features[0] = 0
    features[0, :, 2:4, 5] = 1.0
    z = features.flatten(2).mT.reshape(-1, 5)  # as the tap gives it: a row a place
    boxes = heat_boxes(heat_maps(z, 6, 49), 56, threshold)
    for made, of in zip(boxes, features, strict=True):
        last = np.array([0, 0, 1 / 56, 1 / 56])  # the authors leave the last hot line out
        wanted = np.add(authors_box(of, 56, threshold), last)
        np.testing.assert_allclose(made.numpy(), wanted, atol=1e-6)


def test_a_flat_map_is_the_whole_picture() -> None:
    assert heat_boxes(heat_maps(torch.ones(32, 3), 2, 16), 8, 0.1).tolist() == [[0, 0, 1, 1]] * 2


def test_before_the_first_look_it_is_the_plain_crop(photo: Array) -> None:
    plain = build("view", {"use": "image/random-resized-crop", "size": 24, "scale": [0.2, 1.0]})
    crop = build("view", {"use": "image/contrastive-crop", "size": 24})
    for seed in range(5):
        made, wanted = (g(Sample(3, {"image": photo}), np.random.default_rng(seed)) for g in (crop, plain))
        assert torch.equal(made[0].data, wanted[0].data)


def test_centres_lie_in_the_box_by_beta() -> None:
    """Of a picture whose values are its places, crops of a fixed size tell their centres."""
    ramp = np.arange(200, dtype=np.uint8)
    picture = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(0)), axis=2)
    crop = ContrastiveCrop(size=20, scale=(0.01, 0.01), ratio=(1.0, 1.0))
    crop.boxes = np.array([[0.2, 0.5, 0.6, 0.9]], np.float32)
    rng = np.random.default_rng(0)
    centres = []
    for _ in range(3000):
        (made,) = crop(Sample(0, {"image": picture}), rng)
        centres.append(made.data[:2, 9:11, 9:11].mean(dim=(1, 2)).numpy() * 255 / 200)
    for axis, (low, high) in enumerate(((0.2, 0.6), (0.5, 0.9))):
        shares = (np.array(centres)[:, axis] - low) / (high - low)
        assert -0.03 < shares.min() < 0.02
        assert 0.96 < shares.max() < 1.01
        drawn = np.floor(rng.beta(0.6, 0.6, 3000) * 80) / 80 - 0.5 / 80
        values = np.linspace(0.02, 0.98, 49) + 1e-3
        apart = np.abs((shares[:, None] <= values).mean(0) - (drawn[:, None] <= values).mean(0)).max()
        assert apart < 0.06  # Kolmogorov-Smirnov at 1e-4, and a pixel in 80


def test_crops_stay_within_the_picture(photo: Array) -> None:
    crop = ContrastiveCrop(size=16, scale=(0.9, 1.0))
    crop.boxes = np.array([[0.0, 0.0, 0.1, 0.1]], np.float32)
    for seed in range(30):
        (made,) = crop(Sample(0, {"image": photo}), np.random.default_rng(seed))
        assert made.data.shape == (3, 16, 16)


def test_it_looks_when_it_is_time_and_keeps_what_it_found() -> None:
    crop, clock = ContrastiveCrop(size=8, start=2, every=3), Clock()
    clock.start(1, 20)
    seen: list[str] = []

    def look(view: Any, ref: str) -> list[Rows]:
        seen.append(ref)
        z = torch.zeros(2, 16, 4)
        z[0, 5], z[1, 10] = 1.0, 1.0
        sample = torch.tensor([0, 4]).repeat_interleave(16)
        return [Rows(z.flatten(0, 1), {"sample": sample})]

    looked = []
    for epoch in range(9):
        looked.append(crop.refresh(look, clock))
        assert int(clock.epoch) == epoch
        clock.tick()
    assert [e for e, did in enumerate(looked) if did] == [2, 5, 8]
    assert seen == ["online.dense"] * 3
    assert crop.boxes[1].tolist() == [0, 0, 0, 0]  # there is no such sample
    assert crop.boxes[0, 0] < crop.boxes[4, 0]
    other = ContrastiveCrop(size=8)
    other.load_state_dict({k: torch.as_tensor(v) for k, v in crop.state_dict().items()})
    np.testing.assert_array_equal(other.boxes, crop.boxes)
    assert ContrastiveCrop().state_dict() == {}


def test_what_is_no_square_of_places_is_one_line() -> None:
    with pytest.raises(ConfigError, match="a square of places, 4 or more, and there are 6 a picture"):
        heat_maps(torch.zeros(12, 3), 2, 6)


@pytest.fixture
def config(tmp_path: Path, photo: Array) -> dict[str, Any]:
    for i in range(12):
        Image.fromarray(np.roll(photo, i * 7, axis=1)).save(tmp_path / f"{i}.png")
    lines = [json.dumps({"picture": f"{i}.png"}) for i in range(12)]
    (tmp_path / "pictures.jsonl").write_text("\n".join(lines))
    crop = {"use": "image/contrastive-crop", "size": 32, "start": 1, "every": 2}
    return {
        "data": str(tmp_path / "pictures.jsonl"),
        "modalities": {"image": "picture"},
        "views": {"image": [crop, "image/flip"]},
        "encoders": {"image": {"use": "image/small", "width": 4}},
        "method": {"use": "simclr", "branches": {"online": {"projector": {"hidden": 8, "out": 4}}}},
        "train": {"epochs": 3, "batch_size": 4, "device": "cpu", "loggers": []},
    }


def losses(run: contrapose.Run) -> list[str]:
    return [row["loss"] for row in csv.DictReader((run.dir / "metrics.csv").open())]


def test_a_run_looks_and_workers_see_it(config: dict[str, Any], tmp_path: Path) -> None:
    alone, shared = (
        contrapose.train(config, set=[f"train.workers={n}"], out=tmp_path / str(n), quiet=True) for n in (0, 2)
    )
    assert losses(alone) == losses(shared)
    (crop,) = alone.parts.plan.learning.values()
    assert len(crop.boxes) == 12
    assert (crop.boxes[:, 2:] > crop.boxes[:, :2]).all()
    config["views"]["image"][0] |= {"start": 9}
    plain = contrapose.train(config, out=tmp_path / "plain", quiet=True)
    assert losses(plain)[:3] == losses(alone)[:3]
    assert losses(plain)[3:] != losses(alone)[3:]


@pytest.mark.parametrize("stop", [3, pytest.param(5, marks=pytest.mark.slow)])
def test_resume_is_exact(config: dict[str, Any], stop: int) -> None:
    """At an epoch's end, before it looks, and in the middle of the epoch after."""
    assert_resume_exact(config, steps=9, stop=stop)
