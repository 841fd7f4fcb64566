"""Colours by one matrix an image: exact but for the hue and for values that leave [0, 1] on the way."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrapose_image.colour import HUE, hue_turned, jittered
from contrapose_image.matrices import GREY, batch_jittered_by_matrix, jittered_by_matrix
from contrapose_image.steps import color_jitter

ORDERS = torch.tensor(list(permutations(range(4))))


def mild(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures in the middle of the range, and factors under which they stay in it."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 + 0.4 * torch.rand(24, 3, 12, 10, generator=generator)
    factors = 0.85 + 0.3 * torch.rand(24, 4, generator=generator)
    factors[:, HUE] = 0.0
    return images, factors


def test_without_a_turn_it_is_the_exact_jitter_in_every_order() -> None:
    images, factors = mild()
    torch.testing.assert_close(
        batch_jittered_by_matrix(images, factors, ORDERS), jittered(images, factors, ORDERS), rtol=0, atol=2e-6
    )


def test_one_image_is_as_in_a_batch() -> None:
    images, factors = mild(1)
    factors[:, HUE] = torch.linspace(-0.5, 0.5, 24)
    made = batch_jittered_by_matrix(images, factors, ORDERS)
    for row, image, factor, order in zip(made, images, factors.double().tolist(), ORDERS.tolist(), strict=True):
        torch.testing.assert_close(row, jittered_by_matrix(image, factor, order), rtol=0, atol=2e-6)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.1, 0.25, 0.5])
def test_a_turn_keeps_luminance_and_greys_and_goes_the_same_way(turn: float) -> None:
    images = 0.35 + 0.3 * torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    images[:, :, :4] = images[:, :1, :4]
    factors = torch.tensor([[1.0, 1.0, 1.0, turn]])
    made = batch_jittered_by_matrix(images, factors, ORDERS[:1])
    luminance = torch.tensor(GREY, dtype=torch.float32).view(3, 1, 1)
    torch.testing.assert_close((made * luminance).sum(1), (images * luminance).sum(1), rtol=0, atol=1e-3)
    torch.testing.assert_close(made[:, :, :4], images[:, :, :4], rtol=0, atol=1e-3)
    exact = hue_turned(images, turn)
    if abs(turn) < 0.5:  # half a circle either way is the same
        away = hue_turned(images, -turn)
        assert (made - exact).abs().mean() < 0.5 * (made - away).abs().mean()
    assert (made - exact).abs().mean() < (images - exact).abs().mean()
    again = batch_jittered_by_matrix(made, -factors + 2 * torch.tensor([[1.0, 1.0, 1.0, 0.0]]), ORDERS[:1])
    torch.testing.assert_close(again, images, rtol=0, atol=1e-3)


def test_the_step_draws_the_same_as_the_exact_one(photo: NDArray[np.uint8]) -> None:
    calm = photo // 4 + 90
    for seed in range(12):
        exact, made = (
            color_jitter(calm, np.random.default_rng(seed), 0.1, 0.1, 0.1, hue=0.0, p=0.8, colour=colour)
            for colour in ("exact", "matrix")
        )
        torch.testing.assert_close(made, exact, rtol=0, atol=2e-6)


def test_values_stay_in_range(photo: NDArray[np.uint8]) -> None:
    for seed in range(20):
        made = color_jitter(photo, np.random.default_rng(seed), p=1.0, colour="matrix")
        assert made.dtype == torch.float32
        assert made.min() >= 0
        assert made.max() <= 1
        assert math.isfinite(made.sum())
