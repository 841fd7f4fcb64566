"""Optical flow of a square whose motion is known, and how it becomes a clip."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contrapose import build
from contrapose.errors import ConfigError
from contrapose.types import Sample
from contrapose_video.flow import encoded
from contrapose_video.pixels import to_clip

cv2: Any = pytest.importorskip("cv2", reason="OpenCV isn't installed: pip install 'contrapose-video[opencv]'")


def moving(by: tuple[int, int], frames: int = 4, side: int = 96) -> NDArray[np.uint8]:
    """A square of 40 pixels of smooth grain that moves ``by`` (right, down) pixels a frame over a still ground."""
    rng = np.random.default_rng(0)
    ground, square = (
        cv2.GaussianBlur(rng.integers(0, 255, (n, n, 3), dtype=np.uint8), (5, 5), 1.5) for n in (side, 40)
    )
    made = np.repeat(ground[None], frames, axis=0)
    for t in range(frames):
        made[t, 20 + t * by[1] : 60 + t * by[1], 25 + t * by[0] : 65 + t * by[0]] = square
    return made


def flow(clip: Any, **arguments: Any) -> Any:
    generator = build("view", {"use": "video/flow", **arguments})
    return generator(Sample(0, {"video": clip}), np.random.default_rng(0))[0].data


@pytest.mark.parametrize("by", [(3, 1), (-2, 2)], ids=str)
def test_a_square_moves_as_it_was_moved(by: tuple[int, int]) -> None:
    """To a tenth of a pixel, which is what 8 bits tell at this bound; what stands still is told as still."""
    clip, bound = moving(by), 8.0
    made = flow(clip, bound=bound)
    assert (made.dtype, made.shape) == (np.uint8, clip.shape)
    assert np.array_equal(made[-1], made[-2])
    for t in range(3):
        inside = made[t, 30 + t * by[1] : 50 + t * by[1], 35 + t * by[0] : 55 + t * by[0]].astype(float)
        found = np.median(inside.reshape(-1, 3), axis=0)
        assert np.abs((found[:2] - 127.5) / 127.5 * bound - by).max() < 0.1
        assert abs(found[2] / 255 * bound - np.hypot(*by)) < 0.1
        still = np.median(made[t, 80:].reshape(-1, 3).astype(float), axis=0)
        assert np.abs(still - (127.5, 127.5, 0)).max() < 2


def test_either_layout_and_one_frame_are_read() -> None:
    clip = moving((1, 0))
    np.testing.assert_array_equal(flow(to_clip(clip)), flow(clip))
    one = flow(clip[:1])
    assert one.shape == (1, 96, 96, 3)
    assert one[0, 0, 0].tolist() == [128, 128, 0]


def test_what_is_longer_than_the_bound_is_clipped() -> None:
    field = np.array([[[0, 0], [4, -4], [50, 0], [-50, 3]]], np.float32)
    assert encoded(field, 8.0)[0].tolist() == [[128, 128, 0], [191, 64, 180], [255, 128, 255], [0, 175, 255]]


def test_raft_reads_clips_of_any_size_with_weights_from_a_file(tmp_path: Path) -> None:
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    torch.save(raft_small().state_dict(), tmp_path / "raft.pth")
    generator = build("view", {"use": "video/flow", "method": "raft-small", "weights": str(tmp_path / "raft.pth")})
    clip = moving((2, 0), frames=2)[:, :60, :90]
    made = pickle.loads(pickle.dumps(generator))(Sample(0, {"video": clip}), np.random.default_rng(0))[0].data
    assert made.shape == clip.shape
    assert len(np.unique(made)) > 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "farnebak"}, "farneback"),
        ({"method": "raft-large"}, "needs the path of its weights"),
        ({"method": "raft-large", "weights": "nowhere.pth"}, "no file nowhere.pth"),
        ({"weights": "some.pth"}, "farneback has no weights"),
    ],
)
def test_mistakes_are_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build("view", {"use": "video/flow", **arguments})


def test_raft_weights_that_do_not_fit_and_what_opencv_lacks_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="doesn't fit raft-small") as found:
        build("view", {"use": "video/flow", "method": "raft-small", "weights": str(tmp_path / "other.pth")})
    assert len(str(found.value).splitlines()) == 1
    monkeypatch.delattr(cv2, "optflow", raising=False)
    with pytest.raises(ConfigError, match="opencv-contrib-python-headless"):
        build("view", {"use": "video/flow", "method": "tv-l1"})
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"contrapose-video\[opencv\]"):
        build("view", "video/flow")


@pytest.mark.skipif(not hasattr(cv2, "optflow"), reason="this OpenCV lacks its contributed part")
def test_tv_l1_finds_the_motion_too() -> None:
    inside = flow(moving((2, 1)), method="tv-l1", bound=8.0)[0, 30:50, 35:55].astype(float)
    assert np.abs((np.median(inside.reshape(-1, 3), axis=0)[:2] - 127.5) / 127.5 * 8 - (2, 1)).max() < 0.2
