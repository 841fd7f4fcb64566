"""Which frames decoders give of which files, and what is said of those that give none."""

from __future__ import annotations

import importlib
import io
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.plugins.video.films import film, numbers, shades, turned

from contrapose.errors import DataError, PluginError
from contrapose_video.arguments import Decoder
from contrapose_video.footage import Footage
from contrapose_video.modality import Video
from contrapose_video.packets import in_order
from contrapose_video.pixels import evenly, sheet

ASKED = np.array([29, 3, 3, 17, 0])
UNEVEN = np.cumsum([0, *[0.05, 0.2, 0.1] * 9, 0.05, 0.05])


def load(cell: Any, root: Path = Path(), decoder: Decoder = "decord", fps: float = 25.0) -> Footage:
    return Video(decoder, fps).load({"clip": cell}, root)


def lacks_torchcodec() -> str:
    """Why it can't be used here; empty where it can."""
    try:
        importlib.import_module("torchcodec.decoders").VideoDecoder(film())
    except (ImportError, OSError, RuntimeError) as error:
        return f"torchcodec can't be used here: {str(error).strip().splitlines()[0]}"
    return ""


@pytest.mark.parametrize("decoder", ["pyav", "decord", "torchcodec"])
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"codec": "libx264", "options": {"bf": "3"}},
        {"codec": "libx264", "kind": "matroska"},
        {"codec": "libvpx", "kind": "webm"},
        {"kind": "avi"},
        {"kind": "avi", "options": {"bf": "2"}},
        {"codec": "mpeg2video", "kind": "mpeg", "fps": 25},
        {"times": UNEVEN},
    ],
    ids=["mpeg4", "b-frames", "mkv", "webm", "avi", "avi-b-frames", "mpeg", "uneven"],
)
def test_each_decoder_gives_the_frames_that_are_asked_for(kind: dict[str, Any], decoder: Decoder) -> None:
    """Also where decord itself gives others: of an MPEG program stream it took frame 5 for frame 29, of an AVI whose frames are
    stored in another order (`examples/data/build_footage.py`) frame 2 for frame 100."""
    footage = load(film(**kind), decoder=decoder)
    if footage.decoder == "torchcodec" and (reason := lacks_torchcodec()):
        with pytest.raises(PluginError, match="torchcodec can't be imported"):
            footage.frames(ASKED)
        pytest.skip(reason)
    made = footage.frames(ASKED)
    assert numbers(made) == ASKED.tolist()
    assert (made.dtype, made.shape) == (np.uint8, (5, 32, 32, 3))
    wanted = kind.get("times", np.arange(30) / kind.get("fps", 10))
    np.testing.assert_allclose(footage.times, wanted, atol=1e-3)


@pytest.mark.parametrize("side", [8, 16, 24, 31, 48, 64])
def test_frames_are_scaled_while_decoding_to_any_size(side: int) -> None:
    """Decord can't copy pictures of 8, 12, 16, 24, 48 and 72 pixels."""
    footage = load(film(3, size=(80, 96)))
    for decoder in ("decord", "pyav"):
        made = Footage(footage.source, footage.times, footage.size, decoder=decoder).frames(np.arange(3), short=side)
        assert made.shape == (3, side, round(96 * side / 80), 3)
        assert numbers(made) == [0, 1, 2]
        assert abs(float(made[0, side // 2, 0].mean()) - 255) < 12  # the dark band stays at the left


@pytest.mark.parametrize("decoder", ["decord", "torchcodec"])
def test_decoders_agree_within_rounding(decoder: Decoder) -> None:
    if decoder == "torchcodec" and (reason := lacks_torchcodec()):
        pytest.skip(reason)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    data = film(coarse.repeat(12, axis=1).repeat(12, axis=2), codec="libx264")
    a, b = (load(data, decoder=decoder).frames(np.arange(6)).astype(float) for decoder in (decoder, "pyav"))
    assert np.abs(a - b).mean() < 2


@pytest.mark.parametrize("wrong", ["times", "count", ""])
def test_a_neighbour_of_torchcodecs_is_not_taken_for_the_frame(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of opencv-doc's box.mp4 it gave frame 3 for frame 1; its times told so. What isn't as asked comes from PyAV."""
    times = np.array([0, 3, 2, 3]) / 10 if wrong == "times" else np.arange(4) / 10
    black = SimpleNamespace(data=torch.zeros(4, 32, 32, 3, dtype=torch.uint8), pts_seconds=torch.from_numpy(times + 5))

    class Reader:
        metadata = SimpleNamespace(begin_stream_seconds=5.0)

        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __len__(self) -> int:
            return 5 if wrong == "count" else 4

        def get_frames_at(self, numbers: list[int]) -> SimpleNamespace:
            return black

    monkeypatch.setitem(sys.modules, "torchcodec", SimpleNamespace(decoders=SimpleNamespace(VideoDecoder=Reader)))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", SimpleNamespace(VideoDecoder=Reader))
    made = load(film(4), decoder="torchcodec").frames(np.arange(4))
    assert made.any() == bool(wrong)
    assert numbers(made) == ([0, 1, 2, 3] if wrong else numbers(made))


GRAIN = np.random.default_rng(0).integers(0, 255, (32, 92, 3), dtype=np.uint8)
LONG = film(
    np.stack([GRAIN[:, i : i + 32] for i in range(60)]),
    codec="libx264",
    options={"g": "20", "sc_threshold": "0", "bf": "3", "b_strategy": "0"},
)


@pytest.mark.parametrize("asked", [[0], [59], [18, 19, 20, 21], [3, 5, 7, 44, 46], list(range(60))], ids=str)
def test_what_no_frame_refers_to_is_skipped_and_nothing_else_changes(
    asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """H.264 whose groups of 20 frames have B-frames: bit for bit the frames that decoding all of them gives."""
    footage = load(LONG, decoder="pyav")
    assert footage.keys.tolist() == [0, 20, 40]
    made = footage.frames(np.array(asked), short=16)
    monkeypatch.setattr("contrapose_video.packets.by_key_frames", lambda *_: None)
    np.testing.assert_array_equal(made, footage.frames(np.arange(60), short=16)[asked])


@pytest.mark.parametrize(
    "wrong", [{"keys": np.array([0, 23, 47])}, {"times": np.arange(60) / 10 + 9e-5}], ids=["keys", "times"]
)
def test_an_index_that_is_wrong_changes_no_frame(wrong: dict[str, Any]) -> None:
    """Decoding begins elsewhere then, and frames that don't come under the very time that was told are sought in order."""
    footage = load(LONG, decoder="pyav")
    asked = np.array([2, 22, 23, 25, 50])
    np.testing.assert_array_equal(replace(footage, **wrong).frames(asked), footage.frames(asked))


def test_frames_that_come_too_late_are_waited_for() -> None:
    """As FFmpeg gives those of H.264 that doesn't say how far it is out of order (opencv-doc's box.mp4); 6 has no picture."""
    footage = Footage(b"", np.arange(12) / 10, (1, 1))
    order = [0, 3, 2, 4, 1, 7, 5, 9, 8, 10, 11]
    stream = SimpleNamespace(start_time=0, time_base=Fraction(1, 10))
    frames = [SimpleNamespace(pts=pts) for pts in order]
    packets = [SimpleNamespace(is_corrupt=False, decode=lambda frame=frame: [frame]) for frame in frames]
    file = SimpleNamespace(demux=lambda _: iter(packets), seek=lambda *_, **__: None)

    def found(*asked: int) -> Any:
        return in_order(file, stream, footage, np.array(asked), lambda frame: frame.pts)

    assert found(1, 2, 4) == [1, 2, 4]
    assert found(5, 6, 8) == [5, 7, 8]
    with pytest.raises(DataError, match="damaged"):
        in_order(file, stream, replace(footage, times=np.arange(13) / 10), np.array([3, 12]), lambda frame: frame.pts)


def test_folders_gifs_and_arrays_are_videos_too(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for i, frame in enumerate(shades(12)):
        Image.fromarray(frame).save(tmp_path / f"frames/{i:03d}.png")
    folder = load("frames", tmp_path, fps=5.0)
    assert (len(folder), folder.fps, folder.duration) == (12, pytest.approx(5.0), pytest.approx(2.4))
    assert numbers(folder.frames(np.array([11, 2]), short=16)) == [11, 2]
    array = load(shades(12), fps=5.0)
    assert numbers(array.frames(np.array([11, 2]))) == [11, 2]
    gif = load(film(np.repeat(shades(3)[[0, 1, 2]] * 12, 1, axis=0), codec="gif", kind="gif"))
    assert len(gif) == 3
    assert gif.frames(np.arange(3)).shape == (3, 32, 32, 3)


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "film").mkdir()
    (tmp_path / "film/._frame0.png").write_bytes(b"what a Mac leaves")
    for i, frame in enumerate(shades(12)):
        Image.fromarray(frame).save(tmp_path / f"film/frame{i}.png")
    assert numbers(load("film", tmp_path).frames(np.arange(12))) == list(range(12))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (b"", "an empty file"),
        (b"no video", "not a video that FFmpeg can read"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "not a video that FFmpeg can read"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://localhost:9/x.ts\n", "not a video that FFmpeg can read"),
        (film(pictures=False), "no pictures, only audio"),
        (film()[:60], "it has no pictures"),
        (film(codec="libx264").replace(b"avc1", b"zzzz"), "of a kind that FFmpeg can't decode"),
        ("nowhere.mp4", "no such file"),
        ("../outside.mp4", "must stay under the data's folder"),
        (shades(4)[..., 0], "frames are uint8"),
        (shades(4).astype(float), "frames are uint8"),
    ],
    ids=["empty", "text", "concat", "playlist", "audio", "cut", "unknown", "missing", "outside", "grey", "float"],
)
def test_what_is_no_video_is_refused_in_one_line(cell: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as found:
        load(cell, tmp_path)
    assert len(str(found.value).splitlines()) == 1


def test_a_truncated_file_has_the_frames_that_are_there(tmp_path: Path) -> None:
    """No decoder is asked for the others, on which decord waits for ever (its issue 373)."""
    grain = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), dtype=np.uint8)
    data = film(grain, codec="libx264")
    decoders: list[Decoder] = ["decord", "pyav"] if lacks_torchcodec() else ["decord", "pyav", "torchcodec"]
    for decoder in decoders:
        cut = load(data[: len(data) // 2], decoder=decoder)
        assert 5 < len(cut) < 25
        assert len(cut.frames(np.arange(len(cut)))) == len(cut)
    hurt = bytearray(data)
    hurt[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    for decoder in decoders:
        with pytest.raises(DataError, match=r"can't decode it|damaged") as found:
            load(bytes(hurt), decoder=decoder).frames(np.arange(30))
        assert len(str(found.value).splitlines()) == 1


def test_one_frame_and_sound_beside_pictures() -> None:
    one = load(film(1))
    assert (len(one), one.duration) == (1, pytest.approx(1 / 25))
    assert numbers(one.frames(np.array([0, 0]))) == [0, 0]
    assert len(load(film(4, sound=True))) == 4


@pytest.mark.parametrize("decoder", ["pyav", "decord", "torchcodec"])  # of turned films the last is not asked
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_what_a_phone_held_otherwise_is_shown_upright(degrees: int, decoder: Decoder) -> None:
    """decord turns whole pictures and none that it scales, PyAV none."""
    clip = shades(6, 32, 48)
    footage = load(turned(film(clip), degrees), decoder=decoder)
    upright = np.rot90(clip, -degrees // 90, axes=(1, 2))
    assert footage.size == upright.shape[1:3]
    for short, step in ((None, 1), (16, 2)):
        made = footage.frames(np.arange(6), short)
        assert np.abs(made.astype(int) - upright[:, ::step, ::step]).mean() < 12


def test_loading_decodes_nothing(counted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import contrapose_video.decode as module

    asked: list[int] = []
    inner = module.DECODERS["decord"]
    monkeypatch.setitem(module.DECODERS, "decord", lambda f, n, h, w: asked.extend(n.tolist()) or inner(f, n, h, w))
    footage = load(counted.name, counted.parent)
    assert not asked
    footage.frames(np.array([7, 5, 7]))
    assert asked == [5, 7]


def test_previews_are_a_sheet_and_an_animation(counted: Path) -> None:
    modality = Video()
    for data in (load(counted.name, counted.parent), shades(9)):
        bundle = modality.preview(data)
        assert bundle["image/png"].startswith(b"\x89PNG")
        assert bundle["image/gif"].startswith(b"GIF89a")
    assert evenly(30).tolist() == [0, 4, 7, 11, 14, 18, 22, 25, 29]


@pytest.mark.parametrize(
    ("count", "size", "places"),
    [
        (9, (4, 4), (3, 3)),
        (8, (4, 4), (3, 3)),
        (9, (4, 7), (5, 2)),
        (9, (7, 4), (3, 4)),
        (1, (4, 4), (1, 1)),
        (2, (1, 9), (2, 1)),
    ],
)
def test_a_sheet_has_the_frames_row_by_row(count: int, size: tuple[int, int], places: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 250, (count, *size, 3), dtype=np.uint8)
    made = np.asarray(Image.open(io.BytesIO(sheet(frames))))
    assert made.shape == (places[0] * size[0], places[1] * size[1], 3)
    found = [tile for row in np.split(made, places[0]) for tile in np.split(row, places[1], axis=1)]
    np.testing.assert_array_equal(found[:count], frames)
    assert all((tile == 255).all() for tile in found[count:])
