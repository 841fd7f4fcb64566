"""SimCLR's recipe on 8-bit pictures, by OpenCV: what ``colour: 8-bit`` runs for one picture, several times faster.

The draws are those of the steps in their order, so that the same ``rng`` gives the same view but for rounding: to 8 bits after the
resize (as the steps do), after the colours (all of them one matrix, `contrapose_image.matrices`) and after the blur.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from contrapose.errors import ConfigError
from contrapose_image.arguments import Range
from contrapose_image.boxes import crop_box
from contrapose_image.matrices import GREY, matrix_of
from contrapose_image.pixels import Image, Rng

SCALE: Range = (0.08, 1.0)
RATIO: Range = (3 / 4, 4 / 3)
SIGMA = (0.1, 2.0)
DEVIATIONS = 3
"""How far the blur reaches: beyond, 8 bits hold nothing of it."""

Picture = NDArray[np.uint8]


def simclr(image: Image, rng: Rng, size: int, strength: float, blurred: float) -> Tensor | None:
    """Crop, flip, jitter, gray, blur with probability ``blurred``: float32 (3, size, size) in [0, 1].

    None for what isn't one 8-bit picture: a batch, or a picture of floats, goes by the steps. Raises ``ConfigError`` where OpenCV
    isn't installed.
    """
    if not (isinstance(rng, np.random.Generator) and isinstance(image, np.ndarray) and image.dtype == np.uint8):
        return None
    cv2 = _library()
    made = resized_crop(image, crop_box(image.shape[0], image.shape[1], rng, SCALE, RATIO), size)
    if rng.random() < 0.5:
        made = cv2.flip(made, 1)
    if rng.random() < 0.8:
        amount, turn = 0.8 * strength, 0.2 * strength
        factors = [rng.uniform(max(0.0, 1 - amount), 1 + amount) for _ in range(3)]
        factors.append(rng.uniform(-turn, turn))
        matrix = matrix_of(factors, rng.permutation(4), np.array(cv2.mean(made)[:3]) / 255)
        made = cv2.transform(made, (matrix * (1, 1, 1, 255)).astype(np.float32))
    if rng.random() < 0.2:
        made = cv2.transform(made, np.tile(GREY, (3, 1)).astype(np.float32))
    if blurred and rng.random() < blurred:
        sigma = rng.uniform(*SIGMA)
        reach = min(math.ceil(DEVIATIONS * sigma), max(3, size // 10) // 2, size - 1)
        made = cv2.GaussianBlur(made, (2 * reach + 1,) * 2, sigma, borderType=cv2.BORDER_REFLECT_101)
    return torch.from_numpy(made).permute(2, 0, 1).float().div_(255)


def resized_crop(image: Picture, box: tuple[int, int, int, int], size: int) -> Picture:
    """The box (top, left, height, width), resized as torchvision does with antialiasing, (size, size, 3) uint8."""
    top, left, height, width = box
    piece = torch.from_numpy(np.ascontiguousarray(image[top : top + height, left : left + width])).permute(2, 0, 1)[
        None
    ]
    # A batch whose channels lie together takes torch's vectorised way for 8 bits, and gives such a one.
    small = tvf.resize(piece.contiguous(memory_format=torch.channels_last), [size, size], antialias=True)
    made: Picture = small[0].permute(1, 2, 0).numpy()
    return made


@cache
def _library() -> Any:
    try:
        cv2 = import_module("cv2")
    except ModuleNotFoundError:
        raise ConfigError("needs OpenCV: pip install 'contrapose-image[opencv]'", ("colour",)) from None
    cv2.setNumThreads(0)  # its threads don't outlive a fork, and loader workers are as many as the user wants
    return cv2
