from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
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

Array = NDArray[np.uint8]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {}), ("PPM", {})]
)
def test_lossless_formats_come_back_exactly(photo: Array, kind: str, options: dict[str, Any]) -> None:
    decoded = decode(encoded(Image.fromarray(photo), kind, **options))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, photo)


def png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    """A PNG that pillow can't write: ``pixels`` are its rows, each after the number of its filter."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95, "subsampling": 0}), ("WEBP", {"quality": 95})])
def test_lossy_formats_come_back_nearly(photo: Array, kind: str, options: dict[str, Any]) -> None:
    decoded = decode(encoded(Image.fromarray(photo), kind, **options))
    assert decoded.shape == photo.shape
    assert np.abs(decoded.astype(int) - photo).mean() < {"JPEG": 2, "WEBP": 4}[kind]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_grey_has_three_equal_channels(photo: Array, kind: str) -> None:
    decoded = decode(encoded(Image.fromarray(photo[..., 0]), kind))
    np.testing.assert_allclose(
        decoded.astype(int), np.repeat(photo[..., :1], 3, axis=2), atol=0 if kind != "JPEG" else 40
    )
    assert (decoded == decoded[..., :1]).all()


def test_one_bit_is_black_and_white() -> None:
    picture = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    np.testing.assert_array_equal(decode(encoded(picture, "PNG"))[..., 0], [[0, 255], [255, 0]])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_cut_off(kind: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    decoded = decode(encoded(Image.fromarray(values), kind))
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 1, 128, 255])


def test_16_bits_of_three_channels_are_cut_to_8() -> None:
    values = np.array([[[0, 256, 65535], [32896, 1, 65280]]], ">u2")
    decoded = decode(png(2, 1, 16, 2, b"\0" + values.tobytes()))
    np.testing.assert_allclose(decoded[0].astype(int), [[0, 1, 255], [128, 0, 254]], atol=1)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "LA"), ("WEBP", "RGBA"), ("TIFF", "RGBA")])
def test_alpha_of_other_formats_is_laid_on_white(kind: str, mode: str) -> None:
    picture = Image.new(mode, (4, 4), (40, 0) if mode == "LA" else (200, 10, 10, 0))
    picture.paste((90, 255) if mode == "LA" else (90, 90, 90, 255), (0, 0, 2, 4))
    decoded = decode(encoded(picture, kind, **({"lossless": True} if kind == "WEBP" else {})))
    np.testing.assert_array_equal(decoded[0, :, 0], [90, 90, 255, 255])


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


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("TIFF", {})])
def test_cmyk_becomes_rgb(kind: str, options: dict[str, Any]) -> None:
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    red, green, blue = decode(encoded(picture, kind, **options))[8, 8]
    assert red > 200
    assert max(green, blue) < 60


UPRIGHT: dict[int, Callable[[Array], Array]] = {  # what each tag asks of the pixels as they are stored
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
    8: lambda x: np.rot90(x, 1),
}


@pytest.mark.parametrize("tag", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_exif_rotation_is_applied(photo: Array, tag: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    options = {"PNG": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}[kind]
    decoded = decode(encoded(Image.fromarray(photo), kind, exif=exif, **options)).astype(int)
    expected = UPRIGHT[tag](photo)
    assert decoded.shape == expected.shape
    assert np.abs(decoded - expected).mean() < (2 if kind == "JPEG" else 1e-9)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_truncated_files_are_refused_in_one_line(photo: Array, kind: str) -> None:
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


def test_random_damage_never_escapes_as_another_error(photo: Array) -> None:
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


def test_a_true_bomb_is_refused_by_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "to_rgb", lambda image: pytest.fail("it was unpacked"))
    side = 20_000
    bomb = png(side, side, 8, 2, bytes(1 << 22))  # a few kilobytes that say they are 1.2 gigabytes
    assert len(bomb) < 10_000
    with pytest.raises(DataError, match=r"^b\.png: .*more than 100,000,000"):
        decode(bomb, "b.png")


def test_load_reads_bytes_and_paths_and_names_the_file(tmp_path: Path, photo: Array) -> None:
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


def test_of_an_animation_the_first_frame_counts(photo: Array) -> None:
    frames = [Image.new("P", (6, 4), colour) for colour in (1, 2)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 250, 10, 20, 5, 240, 30])
    decoded = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert decoded.shape == (4, 6, 3)
    assert (decoded == (250, 10, 20)).all()
    later = Image.fromarray(255 - photo)
    for kind, options in {"WEBP": {"lossless": True}, "PNG": {}, "TIFF": {}}.items():
        several = encoded(Image.fromarray(photo), kind, save_all=True, append_images=[later], **options)
        np.testing.assert_array_equal(decode(several), photo)


def test_a_palette_becomes_its_colours() -> None:
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        decoded = decode(encoded(picture, kind))
        np.testing.assert_array_equal(decoded[0], [[10, 20, 30], [200, 100, 50]])


@pytest.mark.parametrize("mode", ["YCbCr", "LAB", "HSV"])
def test_tiff_of_other_colour_spaces_is_rgb_or_one_line(photo: Array, mode: str) -> None:
    picture = Image.fromarray(photo)
    try:
        data = encoded(picture.convert(mode), "TIFF")
    except (OSError, ValueError):
        pytest.skip(f"pillow writes no TIFF of {mode}")
    with contextlib.suppress(DataError):
        assert decode(data).shape == photo.shape
