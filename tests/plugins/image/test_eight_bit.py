"""SimCLR's recipe by OpenCV: the steps' own draws and, but for rounding, their own pixels."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contrapose.errors import ConfigError
from contrapose_image import eight_bit
from contrapose_image.boxes import crop_box
from contrapose_image.steps import resized_crop
from contrapose_image.views import simclr, simclr_cifar

pytest.importorskip("cv2")


@pytest.mark.parametrize(("view", "size"), [(simclr, 64), (simclr, 224), (simclr_cifar, 32)])
def test_it_is_the_matrix_form_but_for_rounding(photo: NDArray[np.uint8], view, size: int) -> None:
    apart = []
    for seed in range(40):
        slow, fast = (view(photo, np.random.default_rng(seed), size=size, colour=c) for c in ("matrix", "8-bit"))
        assert fast.dtype == torch.float32
        assert fast.shape == (3, size, size)
        apart.append((slow - fast).abs())
    far = torch.stack(apart)
    assert far.mean() < 0.6 / 255
    assert far.max() < 4 / 255


def test_the_crop_is_the_step_s_to_the_bit(photo: NDArray[np.uint8]) -> None:
    for seed in range(10):
        box = crop_box(*photo.shape[:2], np.random.default_rng(seed), (0.08, 1.0), eight_bit.RATIO)
        own = torch.from_numpy(eight_bit.resized_crop(photo, box, 48)).permute(2, 0, 1).float() / 255
        torch.testing.assert_close(own, resized_crop(photo, box, 48, "bilinear"), rtol=0, atol=0)


def test_pictures_of_floats_and_batches_go_by_the_matrix(photo: NDArray[np.uint8]) -> None:
    floats = torch.from_numpy(photo).permute(2, 0, 1).float() / 255
    made, other = (simclr(floats, np.random.default_rng(3), size=32, colour=c) for c in ("8-bit", "matrix"))
    assert torch.equal(made, other)
    batch = floats[None].repeat(3, 1, 1, 1)
    made, other = (simclr(batch, torch.Generator().manual_seed(0), size=32, colour=c) for c in ("8-bit", "matrix"))
    assert torch.equal(made, other)


def test_without_opencv_one_line_says_what_to_install(
    photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    eight_bit._library.cache_clear()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"needs OpenCV: pip install 'contrapose-image\[opencv\]'"):
        simclr(photo, np.random.default_rng(0), size=32, colour="8-bit")
    eight_bit._library.cache_clear()


def test_a_picture_of_one_pixel_and_one_larger_than_it_is_read(photo: NDArray[np.uint8]) -> None:
    for picture in (photo[:1, :1], photo[:5, :40], np.asfortranarray(photo)):
        made = simclr(picture, np.random.default_rng(0), size=16, colour="8-bit")
        assert made.isfinite().all()
