from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from contrapose_image import steps, to_tensor
from contrapose_image.steps import blur, color_jitter, flip, grayscale, random_resized_crop, resize, solarize

Array = NDArray[np.uint8]


def always(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_crop_has_torchvisions_distribution(photo: Array) -> None:
    rng = np.random.default_rng(0)
    ours = np.array([steps._crop_box(photo, rng, (0.2, 1.0), (3 / 4, 4 / 3)) for _ in range(4000)])
    torch.manual_seed(0)
    crop = v2.RandomResizedCrop(8, scale=(0.2, 1.0))
    sampled = [crop.make_params([to_tensor(photo)]) for _ in range(4000)]
    theirs = np.array([[p["top"], p["left"], p["height"], p["width"]] for p in sampled])
    for name, a, b in zip(("top", "left", "height", "width"), ours.T, theirs.T, strict=True):
        quantiles = np.linspace(0.05, 0.95, 19)
        assert np.abs(np.quantile(a, quantiles) - np.quantile(b, quantiles)).max() <= 2.5, name
    areas = ours[:, 2] * ours[:, 3] / photo[..., 0].size
    assert 0.19 < areas.min() < 0.22
    assert areas.max() <= 1


def test_crop_of_an_extreme_image_falls_back_to_the_centre() -> None:
    assert steps._crop_box(np.zeros((10, 100, 3), np.uint8), always(), (0.9, 1.0), (3 / 4, 4 / 3)) == (0, 43, 10, 13)
    assert steps._crop_box(np.zeros((100, 10, 3), np.uint8), always(), (0.9, 1.0), (3 / 4, 4 / 3)) == (43, 0, 13, 10)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_crop_equals_torchvisions_resized_crop(photo: Array, interpolation: str) -> None:
    top, left, h, w = steps._crop_box(photo, always(3), (0.08, 1.0), (3 / 4, 4 / 3))
    mode = v2.InterpolationMode(interpolation)
    for image in (photo, to_tensor(photo)):  # of 8 bits, the result is too
        planes = image if isinstance(image, torch.Tensor) else torch.from_numpy(photo).permute(2, 0, 1)
        expected = tvf.resized_crop(planes, top, left, h, w, [32, 32], interpolation=mode, antialias=True)
        made = random_resized_crop(image, always(3), size=32, interpolation=interpolation)
        torch.testing.assert_close(made, to_tensor(expected).clamp(0, 1))


@pytest.mark.parametrize(("kernel", "sigma"), [(3, 0.1), (7, 1.3), (23, 2.0)])
def test_blur_equals_torchvisions(photo: Array, kernel: int, sigma: float) -> None:
    made = blur(photo, always(), p=1.0, sigma=(sigma, sigma), kernel=kernel)
    torch.testing.assert_close(made, tvf.gaussian_blur(to_tensor(photo), [kernel] * 2, [sigma] * 2), rtol=0, atol=2e-6)


def test_blurs_kernel_is_a_tenth_of_the_size(photo: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(steps, "gaussian_blurred", lambda image, kernel, sigma: seen.append((kernel, sigma)) or image)
    for size in (224, 96, 32):
        for seed in range(300):
            blur(torch.zeros(3, size, size), always(seed), p=1.0)
    widths = {kernel // 2 * 2 + 1 for kernel, _ in seen}
    assert widths == {23, 9, 3}
    sigmas = np.array([sigma for _, sigma in seen])
    assert sigmas.min() >= 0.1
    assert sigmas.max() <= 2
    assert abs(sigmas.mean() - 1.05) < 0.05


@pytest.mark.parametrize(
    ("amounts", "kernel"),
    [
        ({"brightness": 0.8}, tvf.adjust_brightness),
        ({"contrast": 0.8}, tvf.adjust_contrast),
        ({"saturation": 0.8}, tvf.adjust_saturation),
    ],
)
def test_jitter_equals_torchvisions(photo: Array, amounts: dict[str, float], kernel: object) -> None:
    zero = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    factors = []
    for seed in range(200):
        made = color_jitter(photo, always(seed), **(zero | amounts), p=1.0)
        rng = always(seed)
        rng.random()
        drawn = dict(
            zip(
                zero,
                [rng.uniform(1 - (zero | amounts)[n], 1 + (zero | amounts)[n]) for n in list(zero)[:3]],
                strict=False,
            )
        )
        factor = drawn[next(iter(amounts))]
        factors.append(factor)
        if seed < 10:
            torch.testing.assert_close(made, kernel(to_tensor(photo), factor))  # type: ignore[operator]
    assert 0.2 <= min(factors) < 0.35
    assert 1.65 < max(factors) <= 1.8


def test_hue_equals_torchvisions(photo: Array) -> None:
    image = to_tensor(photo)
    image[:, :10] = image[:1, :10]  # greys, where the hue isn't defined
    image[:, 10:12] = torch.tensor([0.5, 0.5, 0.2]).view(3, 1, 1)  # two equal largest
    image[:, 12:14] = torch.tensor([0.2, 0.5, 0.5]).view(3, 1, 1)
    image[:, 14:16] = torch.tensor([0.5, 0.2, 0.5]).view(3, 1, 1)
    for turn in (-0.5, -0.21, 0.0, 0.07, 0.33, 0.5):
        torch.testing.assert_close(steps.hue_turned(image, turn), tvf.adjust_hue(image, turn), rtol=0, atol=3e-6)


def test_jitter_comes_in_every_order(photo: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    names = tuple((lambda image, factor, i=i: seen.append(i) or image) for i in range(4))
    monkeypatch.setattr(steps, "_JITTERS", names)
    orders = set()
    for seed in range(400):
        seen.clear()
        color_jitter(photo, always(seed), p=1.0)
        orders.add(tuple(seen))
    assert len(orders) == 24


def test_solarize_and_grayscale_equal_torchvisions(photo: Array) -> None:
    image = to_tensor(photo)
    torch.testing.assert_close(solarize(photo, always(), p=1.0), tvf.solarize(image, 0.5))
    torch.testing.assert_close(grayscale(photo, always(), p=1.0), tvf.rgb_to_grayscale(image, 3))


@pytest.mark.parametrize(
    ("step", "p"), [(flip, 0.5), (color_jitter, 0.8), (grayscale, 0.2), (blur, 0.5), (solarize, 0.2)]
)
def test_probabilities_by_counting(photo: Array, step: object, p: float) -> None:
    image = to_tensor(photo[15:31, 25:41])
    rng = np.random.default_rng(5)
    changed = sum(not torch.equal(step(image, rng), image) for _ in range(2000)) / 2000  # type: ignore[operator]
    assert abs(changed - p) < 4 * np.sqrt(p * (1 - p) / 2000)


def test_resize_equals_torchvisions_whatever_the_proportions(photo: Array) -> None:
    expected = tvf.resize(to_tensor(photo), [32, 32], antialias=True)
    torch.testing.assert_close(resize(photo, always(), size=32), expected)


def test_a_crop_of_8_bits_is_rounded_to_8_bits(photo: Array) -> None:
    made, exact = (random_resized_crop(x, always(3), size=32) for x in (photo, to_tensor(photo)))
    torch.testing.assert_close((made * 255).round() / 255, made)
    torch.testing.assert_close(made, exact, rtol=0, atol=1.01 / 255)  # both directions round


def test_no_step_touches_its_input(photo: Array) -> None:
    image, before = to_tensor(photo), to_tensor(photo)
    for step in (random_resized_crop, flip, color_jitter, grayscale, blur, solarize, resize):
        for seed in range(5):
            step(image, always(seed))
    assert torch.equal(image, before)
