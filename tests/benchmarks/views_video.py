"""``views_video``: CVRL's two clips out of an MP4, cropped to 112 pixels, on one core, against decord and torchvision by hand.

Both sides open the file, draw two clips of 16 frames, every second one, and make of each a random resized crop and flip of
one draw. The other side does what tutorials do: decord at full size, then torchvision's kernels frame by frame. Ours decodes
both clips by one call, scaled to 128 pixels on the way. Each round is as many videos as ``VIDEOS``, with other draws.

The floor is PyAV on the same frames and on what these refer to, and nothing else: neither scaled nor turned into RGB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tvf

from contrapose import Sample, build
from tests.benchmarks.bench import Bench, peer
from tests.benchmarks.harness import alternate, median_ratio, medians, versions
from tests.benchmarks.table import Row

VIDEOS = 6
FRAMES, STRIDE, SIZE, SIDE = 16, 2, 112, 128
SCALE, RATIO = (0.3, 1.0), (0.5, 2.0)
NODE = {"use": "video/cvrl", "frames": FRAMES, "stride": STRIDE, "side": SIDE, "size": SIZE}


def measure(bench: Bench) -> Iterator[Row]:
    """An H.264 video of 250 frames of 640 x 360 pixels, 25 a second, a key frame each 2 seconds."""
    decord = peer("decord", "VideoReader", "decord")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "video.mp4"
            _write(path, bench.pick(250, 60))
            frames = {"use": "video/frames", "view": ["image/random-resized-crop", "image/flip"]}
            sides = {
                "ours": _ours(path, "pyav"),
                "frame by frame": _ours(path, "pyav", frames),
                "bare decoding": _bare(path),
            }
            if decord is not None:
                sides["by decord"] = _ours(path, "decord")
                sides["decord"] = lambda: _by_hand(decord, path)
            times = alternate(sides, bench.pick(7, 2))
    finally:
        torch.set_num_threads(threads)
    median = medians(times)
    least = (
        f"bare decoding takes {median_ratio(times['bare decoding'], times['decord']):.2f} of the peer's time; "
        if decord
        else ""
    )
    found = versions("av", "decord", "torchvision")
    yield Row(
        name="views_video",
        workload=f"2 clips x {FRAMES} frames, stride {STRIDE}, 640 x 360 to {SIZE} px, one core",
        ours=median["ours"],
        peer_name=f"decord {found.get('decord', '')} + torchvision".strip(),
        peer=median.get("decord"),
        to_peer=median_ratio(times["ours"], times["decord"]) if "decord" in times else None,
        floor=median["bare decoding"],
        rounds=len(times["ours"]),
        targets={"to_peer": 0.5},
        versions=found,
        notes=f"ours is by pyav; {least}videos/s: "
        + ", ".join(f"{side} {VIDEOS / seconds:.1f}" for side, seconds in median.items()),
    )


def _write(path: Path, frames: int) -> None:
    """A film that moves, with some grain, so that it isn't of still pictures."""
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


def _ours(path: Path, decoder: str, then: Any = "video/crop") -> Any:
    view: Any = build("view", {**NODE, "then": then})
    modality: Any = build("modality", {"use": "video", "decoder": decoder})

    def side() -> None:
        for i in range(VIDEOS):
            footage = modality.load({"file": path.name}, path.parent)
            view(Sample(i, {"video": footage}), np.random.default_rng(i))

    return side


def _bare(path: Path) -> Any:
    """Decoding alone of the frames that ours asks for."""
    import av

    from contrapose_video.packets import by_key_frames
    from contrapose_video.samplers import decreasing

    view: Any = build("view", NODE)
    modality: Any = build("modality", {"use": "video", "decoder": "pyav"})
    footage = modality.load({"file": path.name}, path.parent)
    starts = [decreasing(view.room(footage), np.random.default_rng(i)) for i in range(VIDEOS)]
    asked = [np.unique(view.numbers(footage, start)) for start in starts]

    def side() -> None:
        for numbers in asked:
            with av.open(str(path)) as file:
                stream = file.streams.video[0]
                stream.thread_type = "NONE"
                assert by_key_frames(file, stream, footage, numbers, lambda frame: frame) is not None

    return side


def _by_hand(reader_of: Any, path: Path) -> None:
    from contrapose_video.samplers import decreasing

    for i in range(VIDEOS):
        rng = np.random.default_rng(i)
        reader = reader_of(str(path), num_threads=1)
        for start in decreasing(len(reader) - (FRAMES - 1) * STRIDE, rng):
            numbers = int(start) + STRIDE * np.arange(FRAMES)
            clip = torch.from_numpy(reader.get_batch(numbers).asnumpy()).permute(0, 3, 1, 2)
            area, shape = 360 * 640 * rng.uniform(*SCALE), np.exp(rng.uniform(*np.log(RATIO)))
            width, height = (min(most, round(np.sqrt(x))) for most, x in ((640, area * shape), (360, area / shape)))
            top, left = int(rng.integers(361 - height)), int(rng.integers(641 - width))
            flip, done = rng.random() < 0.5, []
            for frame in clip:
                made = tvf.resized_crop(frame, top, left, height, width, [SIZE, SIZE], antialias=True)
                made = tvf.horizontal_flip(made) if flip else made
                done.append(made.float().div_(255))
            torch.stack(done, dim=1)
