from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from contrapose.data.cells import NamedBytes
from contrapose.errors import DataError
from contrapose_image import decode as decoding
from contrapose_image.decode import decode
from contrapose_image.modality import Image as ImageModality


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {}), ("PPM", {})]
)
def test_lossless_formats_come_back_exactly(photo: NDArray[np.uint8], kind: str, options: dict[str, Any]) -> None:
    decoded = decode(encoded(Image.fromarray(photo), kind, **options))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, photo)


def test_jpeg_comes_back_nearly(photo: NDArray[np.uint8]) -> None:
    decoded = decode(encoded(Image.fromarray(photo), "JPEG", quality=95, subsampling=0))
    assert decoded.shape == photo.shape
    assert np.abs(decoded.astype(int) - photo).mean() < 2


def test_grey_has_three_equal_channels(photo: NDArray[np.uint8]) -> None:
    decoded = decode(encoded(Image.fromarray(photo[..., 0]), "PNG"))
    np.testing.assert_array_equal(decoded, np.repeat(photo[..., :1], 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_cut_off(kind: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    decoded = decode(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 1, 128, 255])


def test_transparency_is_laid_on_white() -> None:
    picture = np.zeros((2, 3, 4), np.uint8)
    picture[..., 0] = 200
    picture[:, :, 3] = (0, 128, 255)
    decoded = decode(encoded(Image.fromarray(picture), "PNG"))
    np.testing.assert_array_equal(decoded[0, 0], [255, 255, 255])
    np.testing.assert_allclose(decoded[0, 1], [227, 127, 127], atol=1)
    np.testing.assert_array_equal(decoded[0, 2], [200, 0, 0])


def test_transparent_palette_colour_is_laid_on_white() -> None:
    picture = Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    decoded = decode(encoded(picture, "PNG", transparency=0))
    np.testing.assert_array_equal(decoded[0], [[255, 255, 255], [200, 100, 50]])


def test_cmyk_becomes_rgb() -> None:
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    red, green, blue = decode(encoded(picture, "JPEG", quality=95))[8, 8]
    assert red > 200
    assert max(green, blue) < 60


def test_exif_rotation_is_applied(photo: NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the picture turned clockwise
    decoded = decode(encoded(Image.fromarray(photo), "PNG", exif=exif))
    np.testing.assert_array_equal(decoded, np.rot90(photo, -1))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_truncated_files_are_refused_in_one_line(photo: NDArray[np.uint8], kind: str) -> None:
    data = encoded(Image.fromarray(photo), kind)
    with pytest.raises(DataError, match=r"^chair\.x: ") as caught:
        decode(data[: len(data) // 2], "chair.x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"%!PS-Adobe-3.0 EPSF-3.0\n"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(DataError):
        decode(data)


def test_random_damage_never_escapes_as_another_error(photo: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        data = np.frombuffer(encoded(Image.fromarray(photo), kind), np.uint8)
        for _ in range(30):
            broken = data.copy()
            broken[rng.integers(0, len(data), 8)] = rng.integers(0, 256, 8)
            with contextlib.suppress(DataError):
                assert decode(broken.tobytes()).shape[2] == 3


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 50)
    with pytest.raises(DataError, match="10 x 6 pixels"):
        decode(encoded(Image.new("RGB", (10, 6)), "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataError, match="more than 50 pixels"):
        decode(encoded(Image.new("RGB", (10, 6)), "PNG"))


def test_load_reads_bytes_and_paths_and_names_the_file(tmp_path: Path, photo: NDArray[np.uint8]) -> None:
    modality = ImageModality()
    data = encoded(Image.fromarray(photo), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "b.png").write_bytes(b"no")
    np.testing.assert_array_equal(modality.load({"icon": data}, tmp_path), photo)
    np.testing.assert_array_equal(modality.load({"icon": "a.png"}, tmp_path), photo)
    with pytest.raises(DataError, match=r"^b\.png: "):
        modality.load({"icon": "b.png"}, tmp_path)
    with pytest.raises(DataError, match="no such file"):
        modality.load({"icon": "c.png"}, tmp_path)
    with pytest.raises(DataError, match="one column"):
        modality.load({"a": data, "b": data}, tmp_path)


def test_a_file_from_a_shard_is_named_where_it_is_no_image() -> None:
    with pytest.raises(DataError, match=r"^a/b\.png: "):
        ImageModality().load({"i": NamedBytes(b"no image", "a/b.png")}, Path())
