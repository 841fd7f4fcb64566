"""What the image modality claims of a table of one's own, and at what size."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from contrapose.config import build
from contrapose.types import Suggestion
from contrapose_image.decode import size_of
from contrapose_image.modality import Image


def picture(width: int, height: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Picture.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_the_head_tells_the_size(kind: str) -> None:
    assert size_of(picture(7, 5, kind)) == (7, 5)


def test_what_is_no_picture_has_no_size() -> None:
    assert size_of(b"RIFF....WAVE") is None
    assert size_of(b"") is None


@pytest.mark.parametrize(
    ("side", "small", "size", "encoder"),
    [
        (32, True, 32, "image/small"),
        (64, True, 64, "image/small"),
        (500, True, 64, "image/small"),
        (32, False, 32, {"use": "image/resnet18", "stem": "cifar"}),
        (64, False, 64, {"use": "image/resnet18", "stem": "cifar"}),
        (500, False, 224, "image/resnet18"),
    ],
)
def test_sizes_suit_pictures_and_machine(tmp_path: Path, side: int, small: bool, size: int, encoder: Any) -> None:
    (tmp_path / "a.PNG").write_bytes(picture(side, side + 9))
    found = Image().suggest({"words": ["a", "b"], "photo": ["a.PNG"] * 9, "n": [1, 2]}, tmp_path, small)
    assert isinstance(found, Suggestion)
    assert found.columns == ["photo"]
    assert found.views["size"] == size
    assert found.encoder == encoder
    build("view", found.views)
    build("encoder", found.encoder)


def test_bytes_are_told_by_what_they_hold(tmp_path: Path) -> None:
    blob = picture(48, 48, "JPEG")
    columns = {"cloud": [b"ply\nformat"] * 3, "icon": [blob] * 3, "second": [blob] * 3}
    assert Image().suggest(columns, tmp_path, True).columns == ["icon"]
    assert Image().suggest({"mixed": [blob, "a.png"], "none": []}, tmp_path, True) is None


def test_a_missing_first_file_is_no_reason_to_fail(tmp_path: Path) -> None:
    found = Image().suggest({"photo": ["gone.png", "../out.png"]}, tmp_path, small=False)
    assert found.views == {"use": "image/simclr", "size": 224}
