from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Picture

from contrapose.errors import DataError
from contrapose.types import Modality
from contrapose_image import to_tensor
from contrapose_image.modality import Image


def test_it_is_a_modality() -> None:
    assert isinstance(Image(), Modality)
    assert ".png" in Image.extensions


def test_collate_takes_images_as_loaded_and_as_views_make_them(photo: NDArray[np.uint8]) -> None:
    batch = Image().collate([photo, to_tensor(photo), to_tensor(photo).double()])
    assert batch.shape == (3, 3, 60, 80)
    assert batch.dtype == torch.float32
    assert torch.equal(batch[0], batch[1])
    assert batch[0, 0, 0, 79].item() == pytest.approx(237 / 255)


def test_collate_names_the_sizes_that_differ_and_the_remedy(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match=r"80 x 30 and 80 x 60 pixels.*image/resize"):
        Image().collate([photo, photo[:30]])


def test_collate_refuses_floats_that_were_not_scaled(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(DataError, match="divide by 255"):
        Image().collate([photo * 1.2])
    with pytest.raises(DataError, match="RGB array"):
        Image().collate([photo[..., 0]])


def test_preview_is_the_picture(photo: NDArray[np.uint8]) -> None:
    for data in (photo, to_tensor(photo)):
        png = Image().preview(data)["image/png"]
        np.testing.assert_array_equal(np.asarray(Picture.open(io.BytesIO(png))), photo)
    clipped = Image().preview(torch.full((3, 2, 2), 1.7))["image/png"]
    assert np.asarray(Picture.open(io.BytesIO(clipped))).min() == 255
