"""Batched steps against the per-sample kernels, given the same drawn parameters; and where each row stands alone."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

from contrapose import ConfigError, DataError, build
from contrapose.views import ViewPlan
from contrapose_image import batched, steps, views
from contrapose_image.boxes import central_box, crop_box, crop_boxes
from contrapose_image.colour import HUE, jittered
from contrapose_image.resample import resized_crops

RATIO = (3 / 4, 4 / 3)
MULTI_CROP = ["swav-global", "swav-local", "dino-global-1", "dino-global-2", "dino-local"]
RECIPES = ["simclr", "simclr-cifar", "moco-v1", "moco-v2", "byol-a", "byol-b", *MULTI_CROP, "crosspoint"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, height, width, generator=generator(seed))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("size", [7, 32, 48])
def test_crops_equal_the_per_sample_ones(interpolation: str, size: int) -> None:
    images = noise(64, 40, 56)
    boxes = crop_boxes(64, 40, 56, generator(1), (0.005, 1.0), (0.3, 3.0))
    boxes[0] = torch.tensor([0.0, 0.0, 40.0, 56.0])
    boxes[1] = torch.tensor([39.0, 55.0, 1.0, 1.0])
    made = resized_crops(images, boxes, size, interpolation)  # type: ignore[arg-type]
    for image, row, (top, left, h, w) in zip(images, made, boxes.int().tolist(), strict=True):
        expected = steps.resized(image[:, top : top + h, left : left + w], size, size, interpolation)  # type: ignore[arg-type]
        torch.testing.assert_close(row, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(60, 80, (0.2, 1.0)), (20, 90, (0.3, 1.0)), (32, 32, (0.08, 1.0))]
)
def test_boxes_are_drawn_as_per_sample_ones(height: int, width: int, scale: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    ours = crop_boxes(6000, height, width, generator(), scale, RATIO).numpy()
    theirs = np.array([crop_box(height, width, rng, scale, RATIO) for _ in range(6000)])
    for name, a, b in zip(("top", "left", "height", "width"), ours.T, theirs.T, strict=True):
        values = np.arange(max(height, width) + 1)
        apart = np.abs((a[:, None] <= values).mean(0) - (b[:, None] <= values).mean(0)).max()
        assert apart < 0.036, name  # Kolmogorov-Smirnov at 1e-3 for 6,000 against 6,000


def test_boxes_that_never_fit_are_central() -> None:
    for height, width in ((10, 100), (100, 10)):
        boxes = crop_boxes(50, height, width, generator(), (0.9, 1.0), RATIO)
        assert {tuple(box) for box in boxes.int().tolist()} == {central_box(height, width, RATIO)}


def test_jitter_equals_the_per_sample_one_in_every_order() -> None:
    images = noise(96, 20, 30)
    images[:24, :, :4] = images[:24, :1, :4]  # greys, where the hue isn't defined
    images[24:48] = (images[24:48] * 3).round() / 3  # equal largest channels
    factors = torch.rand(96, 4, generator=generator(1)) * 1.8
    factors[:, HUE] = torch.rand(96, generator=generator(2)) - 0.5
    order = torch.tensor(list(itertools.permutations(range(4)))).repeat_interleave(4, dim=0)[
        torch.randperm(96, generator=generator(3))
    ]
    made = jittered(images, factors, order)
    for image, row, factor, turns in zip(images, made, factors.tolist(), order.tolist(), strict=True):
        for which in turns:
            image = steps._JITTERS[which](image, factor[which])
        torch.testing.assert_close(row, image, rtol=0, atol=1e-5)


def test_a_factor_of_one_and_no_turn_leave_an_image_as_it_is() -> None:
    images = noise(24, 16, 16)
    order = torch.rand(24, 4, generator=generator()).argsort(dim=1)
    assert torch.equal(jittered(images, torch.tensor([[1.0, 1.0, 1.0, 0.0]]).expand(24, -1), order), images)
    assert torch.equal(batched.color_jitter(images, generator(), p=0.0), images)


@pytest.mark.parametrize(("kernel", "height", "width"), [(3, 32, 32), (7, 40, 33), (23, 224, 224), (9, 4, 60)])
def test_blur_equals_the_per_sample_one(kernel: int, height: int, width: int) -> None:
    images = noise(8, height, width)
    sigma = torch.tensor([0.0, 0.1, 0.2, 0.5, 1.0, 1.3, 1.7, 2.0])
    made = batched.gaussian_blurred(images, kernel, sigma)
    assert torch.equal(made[0], images[0])
    for image, row, s in zip(images[1:], made[1:], sigma[1:].tolist(), strict=True):
        torch.testing.assert_close(row, steps.gaussian_blurred(image, kernel, s), rtol=0, atol=2e-6)


def test_what_happens_surely_equals_the_per_sample_form() -> None:
    images, rng = noise(6, 20, 24), np.random.default_rng(0)
    for step in (steps.flip, steps.grayscale, steps.solarize):
        expected = torch.stack([step(image, rng, p=1.0) for image in images])
        assert torch.equal(step(images, generator(), p=1.0), expected)
        assert torch.equal(step(images, generator(), p=0.0), images)
    expected = torch.stack([steps.resize(image, rng, size=12) for image in images])
    assert torch.equal(steps.resize(images, generator(), size=12), expected)


@pytest.mark.parametrize("name", ["flip", "color-jitter", "grayscale", "blur", "solarize"])
def test_each_image_is_chosen_by_itself(name: str) -> None:
    images = noise(1, 12, 12).expand(2000, -1, -1, -1)
    made = build("view", f"image/{name}").batched(images, generator(4))
    changed = (made != images).flatten(1).any(dim=1).double()
    p = {"flip": 0.5, "color-jitter": 0.8, "grayscale": 0.2, "blur": 0.5, "solarize": 0.2}[name]
    assert abs(changed.mean() - p) < 4 * (p * (1 - p) / 2000) ** 0.5
    assert abs((changed[1:] * changed[:-1]).mean() - p * p) < 0.06


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_have_a_batched_form(name: str) -> None:
    made = pickle.loads(pickle.dumps(build("view", {"use": f"image/{name}", "size": 24})))
    images = noise(5, 40, 30)
    whole = made.batched(images, generator())
    assert whole.shape == (5, 3, 24, 24)
    assert whole.dtype == torch.float32
    assert whole.is_contiguous()
    assert 0 <= whole.min() <= whole.max() <= 1
    assert made.batched((images * 255).byte(), generator()).dtype == torch.float32
    assert made.batched(images.half(), generator()).sub(whole).abs().max() < 0.02  # only what the input lost


def test_a_list_of_steps_is_batched_in_a_config() -> None:
    node = [{"use": "image/random-resized-crop", "size": 16}, "image/flip", {"use": "image/blur", "p": 1.0}]
    plan = ViewPlan.from_config({"image": {"use": node, "batched": True, "count": 2}}, None, build, ["image"])
    assert plan.planned[0].generator.batched(noise(4, 20, 20), generator()).shape == (4, 3, 16, 16)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"evaluation.* has no batched form"):
        ViewPlan.from_config({"image": {"use": "image/eval", "batched": True}}, None, build, ["image"])


def test_a_batch_of_another_shape_is_refused() -> None:
    for shape in ((3, 8, 8), (2, 1, 8, 8), (2, 8, 8, 3)):
        with pytest.raises(DataError, match="a batch of images is an RGB tensor"):
            views.simclr(torch.zeros(shape), generator())
