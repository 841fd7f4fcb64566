"""From the bytes of a picture file to uint8 RGB."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from contrapose.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # named, because pillow hands EPS to Ghostscript
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
MOST_PIXELS = 100_000_000


def decode(data: bytes, where: str = "an image") -> NDArray[np.uint8]:
    """The picture as uint8 (H, W, 3): upright by its EXIF tag, transparency laid on white, 16 bits cut to 8.

    The first frame of an animation. Raises ``DataError``, which begins with ``where``, for what can't be decoded and for more than
    ``MOST_PIXELS`` pixels (a decompression bomb).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is what holds
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise DataError(f"{where}: {width} x {height} pixels, more than {MOST_PIXELS:,}")
                return to_rgb(image)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{where}: more than {MOST_PIXELS:,} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{where}: not a picture in a known format ({', '.join(FORMATS)})") from error
    except (
        Exception
    ) as error:  # a broken file may raise anything in pillow; whoever reads the message needs which file and why
        raise DataError(f"{where}: a broken picture: {' '.join(str(error).split()) or type(error).__name__}") from error


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, told by a picture's head alone; None where the bytes are no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return image.size
    except Exception:  # a broken file may raise anything in pillow
        return None


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Any pillow image as uint8 RGB (H, W, 3)."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey, in pillow's 16 or 32-bit modes
        grey = (np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise DataError("a picture of floating-point values has no known range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))
