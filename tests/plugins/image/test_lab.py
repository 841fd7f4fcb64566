from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import contrapose
from contrapose import Sample, build
from contrapose.views import ViewPlan
from contrapose_image import to_tensor
from contrapose_image.lab import LEAST, MOST, to_lab
from contrapose_image.steps import flip, random_resized_crop

COLOURS = {  # of sRGB under D65, as published
    (1, 1, 1): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (1, 0, 0): (53.24, 80.09, 67.20),
    (0, 1, 0): (87.73, -86.18, 83.18),
    (0, 0, 1): (32.30, 79.19, -107.86),
    (1, 1, 0): (97.14, -21.55, 94.48),
    (1, 0, 1): (60.32, 98.23, -60.82),
    (0.5, 0.5, 0.5): (53.39, 0.0, 0.0),
}


@pytest.mark.parametrize("rgb", COLOURS)
def test_lab_is_that_of_published_colours(rgb: tuple[float, float, float]) -> None:
    made = to_lab(torch.tensor(rgb, dtype=torch.float32).view(3, 1, 1)).flatten()
    np.testing.assert_allclose(made, COLOURS[rgb], atol=0.02)


def test_ranges_are_those_of_all_colours() -> None:
    levels = torch.linspace(0, 1, 33)
    colours = to_lab(torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2)).flatten(1)
    np.testing.assert_allclose(colours.amin(1), LEAST, atol=0.02)
    np.testing.assert_allclose(colours.amax(1), MOST, atol=0.02)


def test_both_views_are_of_one_crop(photo: NDArray[np.uint8]) -> None:
    first, second = build("view", {"use": "image/lab", "size": 24})(
        Sample(0, {"image": photo}), np.random.default_rng(3)
    )
    assert (first.name, second.name) == ("l", "ab")
    rng = np.random.default_rng(3)
    colours = to_lab(flip(random_resized_crop(photo, rng, size=24, scale=(0.08, 1.0)), rng))
    torch.testing.assert_close(first.data, (colours[:1] / 100).expand(3, -1, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(second.data[0], (colours[1] + 86.183) / 184.416, rtol=0, atol=1e-5)
    torch.testing.assert_close(second.data[1], (colours[2] + 107.857) / 202.335, rtol=0, atol=1e-5)
    assert (second.data[2] == 0.5).all()


def test_lightness_of_a_grey_picture_is_all_there_is() -> None:
    grey = to_tensor(np.full((20, 20, 3), 119, np.uint8))
    first, second = build("view", {"use": "image/lab", "size": 8})(Sample(0, {"image": grey}), np.random.default_rng(0))
    assert first.data.mean() == pytest.approx(0.5, abs=0.01)
    assert second.data.std(dim=(1, 2)).max() < 1e-5


def test_it_fills_slots_of_its_names() -> None:
    plan = ViewPlan.from_config({"image": "image/lab"}, ["l", "ab"], build, ["image"])
    assert list(plan.names) == ["image/l", "image/ab"]


def test_cmc_trains_an_encoder_for_each(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    for i in range(8):
        Image.fromarray(np.roll(photo, i * 5, axis=1)).save(tmp_path / f"{i}.png")
    lines = [json.dumps({"picture": f"{i}.png"}) for i in range(8)]
    (tmp_path / "pictures.jsonl").write_text("\n".join(lines))
    branches = {n: {"views": n, "encoder": n, "projector": {"use": "linear", "out": 16}} for n in ("l", "ab")}
    pair = {"positives": "same(sample)", "denominator": "all", "loss": "nce", "tau": 0.07}
    terms = {"there": {"query": "l", "keys": ["ab"], **pair}, "back": {"query": "ab", "keys": ["l"], **pair}}
    run = contrapose.train(
        {
            "data": str(tmp_path / "pictures.jsonl"),
            "modalities": {"image": "picture"},
            "views": {"image": {"use": "image/lab", "size": 16}},
            "encoders": {n: {"use": "image/small", "width": 4} for n in ("l", "ab")},
            "method": {"slots": ["l", "ab"], "branches": branches, "terms": terms},
            "train": {"steps": 2, "batch_size": 8, "device": "cpu", "loggers": []},
            "out": str(tmp_path / "run"),
        }
    )
    one, other = (run.encoder(name).state_dict() for name in ("l", "ab"))
    assert any(not torch.equal(one[key], other[key]) for key in one)
