"""Views of pictures on every frame: one draw a clip, no frame touched by another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contrapose import build
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample
from contrapose_video.frames import central, crop
from contrapose_video.pixels import to_clip, to_frames

RECIPES = [
    "image/simclr",
    "image/moco-v1",
    "image/byol-b",
    {"use": "image/torchvision", "transform": "RandomPerspective"},
]


@pytest.fixture
def still() -> NDArray[np.uint8]:
    """Five times the same picture, of 40 x 48 pixels."""
    y, x = np.mgrid[:40, :48]
    picture = np.stack([x * 5, y * 6, (x + y) * 2], axis=2).astype(np.uint8)
    picture[10:20, 15:30] = (250, 10, 60)
    return np.repeat(picture[None], 5, axis=0)


def made(node: Any, clip: Any, seed: int = 0, per: str = "clip") -> torch.Tensor:
    generator = build("view", {"use": "video/frames", "view": node, "per": per, "size": 24})
    return generator(Sample(0, {"video": clip}), np.random.default_rng(seed))[0].data


@pytest.mark.parametrize("node", RECIPES, ids=str)
def test_one_draw_serves_all_frames(still: NDArray[np.uint8], node: Any) -> None:
    """Box, jitter and its order, grey, blur and what torchvision draws: equal frames stay equal."""
    differ = 0
    for seed in range(6):
        clip = made(node, still, seed)
        assert all(torch.equal(clip[:, 0], frame) for frame in clip.unbind(1))
        alone = build("view", node, size=24)(Sample(0, {"image": still[0]}), np.random.default_rng(seed))[0].data
        torch.testing.assert_close(clip[:, 0], alone)
        free = made(node, still, seed, per="frame")
        differ += not all(torch.equal(free[:, 0], frame) for frame in free.unbind(1))
    assert differ >= 4


def test_the_next_draw_is_another(still: NDArray[np.uint8]) -> None:
    generator = build("view", {"use": "video/frames", "view": "image/random-resized-crop", "size": 24})
    rng = np.random.default_rng(0)
    a, b = (generator(Sample(0, {"video": still}), rng)[0].data for _ in range(2))
    assert not torch.equal(a, b)


def test_no_blur_reaches_from_one_frame_into_the_next() -> None:
    """The code of Feichtenhofer et al. blurs frames as one picture of T x H rows: white frames made the black one grey."""
    clip = np.full((3, 24, 24, 3), 255, np.uint8)
    clip[1] = 0
    out = made({"use": "image/blur", "p": 1.0, "sigma": [2.0, 2.0]}, clip)
    assert float(out[:, 1].max()) == 0
    assert float(out[:, [0, 2]].min()) == pytest.approx(1)


def test_crop_is_one_box_of_all_frames(still: NDArray[np.uint8]) -> None:
    moving = still + np.arange(5, dtype=np.uint8)[:, None, None, None]
    for seed in range(10):
        out = crop(still, np.random.default_rng(seed), size=16)
        assert out.shape == (3, 5, 16, 16)
        assert all(torch.equal(out[:, 0], frame) for frame in out.unbind(1))
        floats = crop(to_clip(still), np.random.default_rng(seed), size=16)
        torch.testing.assert_close(out, floats, atol=1 / 255, rtol=0)
    assert not torch.equal(crop(moving, np.random.default_rng(0), size=16)[:, 0], out[:, 1])
    whole = crop(still, np.random.default_rng(0), size=40, scale=(1.0, 1.0), ratio=(1.2, 1.2), flip=1.0)
    torch.testing.assert_close(whole[..., 0].mean(), to_clip(still)[..., -1].mean(), atol=0.02, rtol=0)


def test_layouts_go_over_into_each_other(still: NDArray[np.uint8]) -> None:
    clip = to_clip(still)
    assert (clip.shape, clip.dtype) == ((3, 5, 40, 48), torch.float32)
    np.testing.assert_array_equal(to_frames(clip), still)
    assert central(still, 20).shape == (3, 5, 20, 20)
    torch.testing.assert_close(central(still, 40), clip[..., 4:44])
    for wrong in (still[0], still.astype(np.float32), torch.zeros(4, 5, 8, 8)):
        with pytest.raises(DataError, match="a clip is uint8"):
            to_clip(wrong)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("image/jigsaw", "no view of one picture"),
        ("video/crop", "no view of one picture"),
        ("image/contrastive-crop", "learns from pictures"),
        ("image/simclrr", "did you mean"),
    ],
)
def test_what_is_no_view_of_a_picture_is_told(node: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build("view", {"use": "video/frames", "view": node})


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("view", {"use": "video/frames", "view": []}, "empty list"),
        ("method", {"use": "video/pace", "contrast": -1.0}, "greater than or equal to 0"),
        ("method", {"use": "video/cvrl", "hidden": 0}, "greater than or equal to 1"),
    ],
)
def test_arguments_have_bounds(kind: Any, config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(kind, config)


def test_a_range_that_goes_backwards_is_told(still: NDArray[np.uint8]) -> None:
    with pytest.raises(ConfigError, match=r"scale goes from 1 to 0.3"):
        crop(still, np.random.default_rng(0), scale=(1.0, 0.3))
