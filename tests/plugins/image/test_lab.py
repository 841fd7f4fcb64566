from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

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
