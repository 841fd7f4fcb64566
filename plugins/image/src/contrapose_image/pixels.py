"""What an image is: uint8 (H, W, 3) as loaded, a float32 tensor (3, H, W) in [0, 1] from the first view on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrapose.errors import DataError

Image = NDArray[np.uint8] | Tensor
Rng = np.random.Generator | torch.Generator
"""What a view draws from that serves one image or, with a ``torch.Generator``, a batch (n, 3, H, W)."""


def to_tensor(image: Image) -> Tensor:
    """Array (H, W, 3) or tensor (3, H, W), uint8 or float, to a float32 tensor (3, H, W); uint8 is divided by 255.

    Raises ``DataError`` for another shape.
    """
    tensor = planes(image)
    return tensor.float().div_(255) if tensor.dtype == torch.uint8 else tensor.float()


def planes(image: Image) -> Tensor:
    """Array (H, W, 3) or tensor (3, H, W) as a tensor (3, H, W), its type as it is. Raises ``DataError`` for another shape."""
    if isinstance(image, Tensor):
        tensor = image
    else:
        tensor = torch.from_numpy(np.ascontiguousarray(image))
        tensor = tensor.permute(2, 0, 1) if tensor.ndim == 3 else tensor
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        kind = "tensor (3, H, W)" if isinstance(image, Tensor) else "array (H, W, 3)"
        raise DataError(f"an image is an RGB {kind}, not {tuple(image.shape)}")
    return tensor


def to_batch(images: Tensor) -> Tensor:
    """(n, 3, H, W), uint8 or float, to float32; uint8 is divided by 255. Raises ``DataError`` for another shape."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise DataError(f"a batch of images is an RGB tensor (n, 3, H, W), not {tuple(images.shape)}")
    return images.float().div_(255) if images.dtype == torch.uint8 else images.float()


def to_array(image: Image) -> NDArray[np.uint8]:
    """The inverse: uint8 (H, W, 3), values outside [0, 1] clipped."""
    return (to_tensor(image).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
