"""Optical flow as a clip of three channels, for encoders of clips."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from contrapose import view
from contrapose.errors import ConfigError
from contrapose.types import Sample, View
from contrapose_video.arguments import Positive
from contrapose_video.backbones import from_file
from contrapose_video.footage import Frames
from contrapose_video.pixels import to_frames

Method = Literal["farneback", "tv-l1", "raft-small", "raft-large"]
Field = NDArray[np.float32]
"""Flow (H, W, 2): by how many pixels what is shown here moves to the right, and down, until the next frame."""


@view("video")
class Flow:
    """The optical flow of a clip in place of its colours: uint8 (T, H, W, 3), as many frames as before, the last one twice.

    Red is the motion to the right, green that down, 0 to 255 for -``bound`` to ``bound`` pixels a frame, 127.5 for none; blue is
    their length, 0 to 255 for 0 to ``bound`` (Gkioxari and Malik, CVPR 2015, section 3.1). So any encoder of clips takes it, and
    `video/crop` and the like after it, but for what mirrors or colours: mirrored, things would move backwards (``flip: 0.0``).

    Args:
        method: ``farneback`` (2003) and ``tv-l1`` (Zach et al., 2007) are OpenCV's, the latter of its contributed part;
            ``raft-small`` and ``raft-large`` (Teed and Deng, 2020) are torchvision's, and need ``weights``.
        bound: the longest motion that is told from longer ones, in pixels a frame.
        weights: path of RAFT's .safetensors or torch file. Nothing is fetched.

    Raises ``ConfigError`` where OpenCV isn't installed, or lacks the method, and for weights that are missing or don't fit.
    """

    def __init__(self, method: Method = "farneback", bound: Positive = 20.0, weights: str | None = None) -> None:
        self.method, self.bound = method, bound
        self.raft = None
        if method.startswith("raft"):
            self.raft = _raft(method, weights)
        elif weights is not None:
            raise ConfigError(
                f"{method} has no weights: leave them out, or choose raft-small or raft-large", ("weights",)
            )
        else:
            _opencv(method)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The clip's flow."""
        frames = to_frames(sample.data["video"])
        found = [encoded(field, self.bound) for field in self.fields(frames)]
        still = np.full_like(frames[0], (128, 128, 0))
        return [View("", "video", np.stack([*found, found[-1] if found else still]))]

    def fields(self, frames: Frames) -> Iterator[Field]:
        """The flow from each frame of uint8 (T, H, W, 3) to the next, float32 (H, W, 2): T - 1 of them."""
        if self.raft is not None:
            yield from _by_raft(self.raft, frames)
            return
        cv2 = _opencv(self.method)
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        if self.method == "farneback":
            for one, other in pairwise(grey):
                yield cv2.calcOpticalFlowFarneback(one, other, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        else:
            solver = cv2.optflow.DualTVL1OpticalFlow_create()
            for one, other in pairwise(grey):
                yield solver.calc(one, other, None)

    def __repr__(self) -> str:
        return f"video/flow({self.method}, bound={self.bound})"


def encoded(field: Field, bound: float) -> Frames:
    """Flow (H, W, 2) as uint8 (H, W, 3)."""
    length = np.linalg.norm(field, axis=2, keepdims=True)
    made = np.concatenate([127.5 + 127.5 * field / bound, 255 * length / bound], axis=2)
    return np.asarray(made.round().clip(0, 255).astype(np.uint8))


def _opencv(method: str) -> Any:
    try:
        cv2 = import_module("cv2")
    except ImportError:
        raise ConfigError(f"{method} needs OpenCV: pip install 'contrapose-video[opencv]'", ("method",)) from None
    if method == "tv-l1" and not hasattr(cv2, "optflow"):
        raise ConfigError(
            "tv-l1 is of OpenCV's contributed part: pip install opencv-contrib-python-headless in place of the other",
            ("method",),
        )
    cv2.setNumThreads(0)  # its threads don't outlive a fork, and loader workers are as many as the user wants
    return cv2


def _raft(method: str, weights: str | None) -> torch.nn.Module:
    from torchvision.models import optical_flow

    if weights is None:
        raise ConfigError(f"{method} needs the path of its weights, a .safetensors or torch file", ("weights",))
    net: torch.nn.Module = getattr(optical_flow, method.replace("-", "_"))(weights=None)
    try:
        net.load_state_dict(from_file(Path(weights)))
    except RuntimeError as error:
        raise ConfigError(
            f"{weights} doesn't fit {method}: {' '.join(str(error).split())[:200]}", ("weights",)
        ) from error
    return net.eval().requires_grad_(False)


def _by_raft(net: torch.nn.Module, frames: Frames) -> Iterator[Field]:
    """RAFT reads pictures in [-1, 1] whose sides are multiples of 8 and 128 at least: they are continued by their edges."""
    height, width = frames.shape[1:3]
    below, beside = (max(128, -(-side // 8) * 8) - side for side in (height, width))
    planes = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    planes = F.pad(planes, (0, beside, 0, below), mode="replicate")
    with torch.inference_mode():
        for one, other in pairwise(planes.split(1)):
            yield net(one, other)[-1][0, :, :height, :width].permute(1, 2, 0).numpy()
