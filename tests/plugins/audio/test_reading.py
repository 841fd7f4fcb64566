"""Which samples are read of which files, and what is said of those that can't be."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from tests.plugins.audio.sounds import RATE, file, noise, tone
from tests.plugins.video.films import film

from contrapose.errors import DataError, PluginError
from contrapose_audio.decode import decode
from contrapose_audio.modality import Audio
from contrapose_audio.recording import Recording


def load(cell: Any, root: Path = Path(), **arguments: Any) -> Recording:
    return Audio(**arguments).load({"sound": cell}, root)


STEREO = np.stack([tone(1.0, 300), noise(1.0)])


@pytest.mark.parametrize(
    ("kind", "subtype", "off"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "FLOAT", 0),
        ("FLAC", "PCM_24", 1e-6),
        ("AIFF", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 0.4),
        ("OGG", "OPUS", 0.6),
    ],
)
def test_any_part_of_a_file_is_what_the_whole_has_there(kind: str, subtype: str, off: float) -> None:
    found = load(file(STEREO, kind=kind, subtype=subtype), channels=2)
    whole = found.read()
    assert (whole.dtype, whole.shape, len(found), found.duration) == (np.float32, (2, RATE), RATE, 1.0)
    np.testing.assert_allclose(whole, STEREO, atol=off)
    np.testing.assert_allclose(found.read(5000, 3000), whole[:, 5000:8000], atol=1e-4 if kind == "OGG" else 0)
    np.testing.assert_allclose(load(file(STEREO, kind=kind, subtype=subtype)).read()[0], whole.mean(axis=0), atol=1e-6)


def test_mp3_is_read_too() -> None:
    found = load(file(tone(2.0), kind="MP3"))
    assert found.duration == pytest.approx(2.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(found.read(8000, 16000)[0]))
    assert int(spectrum.argmax()) == 440
    np.testing.assert_allclose(found.read(17000, 3000), found.read()[:, 17000:20000], atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 44101])
def test_resampling_a_part_is_a_part_of_the_resampled_whole(rate: int) -> None:
    """And that is torchaudio's."""
    wave = noise(1.3, 1, rate) + tone(1.3, 200, rate)
    found = load(file(wave, rate, subtype="FLOAT"))
    whole = found.read()
    assert whole.shape == (1, len(found))
    assert len(found) == pytest.approx(1.3 * RATE, abs=1)
    if rate != 44101:  # whose filter would take gigabytes
        wanted = torchaudio.functional.resample(torch.from_numpy(wave), rate, RATE).numpy()
        np.testing.assert_allclose(whole[0], wanted, atol=3e-5)  # whose filter is of fewer digits
    for start, count in ((0, 100), (7777, 4001), (len(found) - 50, 50)):
        np.testing.assert_allclose(found.read(start, count), whole[:, start : start + count], atol=1e-6)


def test_only_the_part_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(file(noise(60.0, 0, 48000), 48000))
    asked: list[int] = []
    inner = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, frames=-1, **k: asked.append(frames) or inner(self, frames, **k)
    )
    found = load("long.wav", tmp_path)
    assert not asked
    found.read(30 * RATE, RATE)
    assert sum(asked) < 1.1 * 48000
    assert len(pickle.dumps(found)) < 1000


def test_channels_are_kept_mixed_down_or_repeated() -> None:
    many = np.stack([noise(0.1, seed) for seed in range(5)])
    np.testing.assert_array_equal(load(STEREO, channels=2).read(), STEREO)
    mixed = load(many, channels=2).read()
    np.testing.assert_allclose(mixed, np.repeat(many.mean(axis=0, keepdims=True), 2, axis=0), atol=1e-7)
    assert load(many[0], channels=2).read().shape == (2, 1600)


def test_samples_are_floats_or_int16() -> None:
    pcm = (tone() * 32767).astype(np.int16)
    np.testing.assert_allclose(load(pcm).read()[0], tone(), atol=1e-4)
    loud = load(file(4 * tone(loud=1.0), subtype="FLOAT")).read()
    assert np.abs(loud).max() == pytest.approx(4.0, abs=1e-3), "what goes beyond full scale stays"
    assert not load(np.zeros(100, np.float32)).read().any()


def _nan() -> np.ndarray:
    wave = noise()
    wave[8000] = np.nan
    return wave


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (b"", "an empty file"),
        (b"no sound at all", "not a sound that libsndfile"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://localhost:9/x.ts\n", "not a sound that libsndfile"),
        (b"ffconcat version 1.0\nfile other.wav\n", "not a sound that libsndfile"),
        (film(3), "it has no sound, only video"),
        (file(tone())[:30], "not a sound|no samples"),
        (file(tone())[:44], "no samples"),
        (file(tone(), kind="FLAC")[:30], "not a sound"),
        (file(np.zeros((1, 0), np.float32)), "no samples"),
        ("nowhere.wav", "no such file"),
        ("../outside.wav", "must stay under the data's folder"),
        (np.zeros((0,), np.float32), "no samples"),
        (np.zeros((2, 3, 4), np.float32), "samples are floats or int16"),
        (np.zeros(5, np.int64), "samples are floats or int16"),
        (np.zeros((16000, 2), np.float32), "channels first"),
        (7, "is a path, the bytes of a file or samples"),
    ],
    ids=lambda v: str(v)[:12] if not isinstance(v, np.ndarray) else str(v.shape),
)
def test_what_is_no_sound_is_refused_in_one_line(cell: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said) as found:
        load(cell, tmp_path)
    assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_of_truncated_and_damaged_files_the_part_that_is_there_is_read(kind: str) -> None:
    data = file(noise(4.0), kind=kind)
    middle = len(data) // 2
    for harmed in (data[:middle], data[:middle] + bytes(2000) + data[middle + 2000 :]):
        found = load(harmed)
        assert found.read(0, RATE // 2).std() == pytest.approx(0.1, abs=0.02)
        if kind == "WAV" or len(found) < 3 * RATE:  # a WAV's header is checked against its size, and so is an Ogg's end
            found.read()
            continue
        with pytest.raises(DataError, match=r"can't decode it|damaged, as it has") as error:
            found.read()
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # soundfile's, of seeks before the beginning
def test_whatever_bytes_are_changed_it_is_read_or_refused_in_one_line() -> None:
    rng, read, said = np.random.default_rng(0), 0, []
    for data in [*(file(noise(0.3), kind=kind) for kind in ("WAV", "FLAC", "OGG", "RF64", "AU")), film(3, sound=True)]:
        for _ in range(30):
            hurt = bytearray(data[: len(data) if rng.random() < 0.8 else int(rng.integers(len(data)))])
            for place in rng.integers(min(len(hurt), 80) or 1, size=3):
                hurt[place : place + 1] = bytes([int(rng.integers(256))])
            try:
                found = load(bytes(hurt))
                assert found.read(0, min(len(found), 1600)).shape == (1, min(len(found), 1600))
                read += 1
            except DataError as error:
                said.append(str(error))
    assert min(read, len(said)) > 20
    assert all(len(line.splitlines()) == 1 for line in said)


def test_samples_that_are_no_numbers_cost_the_parts_that_have_them() -> None:
    found = load(file(_nan(), subtype="FLOAT"))
    assert found.read(0, 8000).shape == (1, 8000)
    with pytest.raises(DataError, match="no numbers"):
        found.read(7990, 20)


def test_a_file_without_a_known_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrapose_audio.probe._sndfile", lambda source: (2**63 - 1, RATE, 1))
    with pytest.raises(DataError, match="doesn't say how long"):
        load(file(tone()))
    monkeypatch.setattr("contrapose_audio.probe._sndfile", lambda source: (10, 2**31, 1))
    with pytest.raises(DataError, match="1 channels at 2,147,483,648 Hz"):
        load(file(tone()))


def lacks_torchcodec() -> str:
    """Why it can't be used here; empty where it can."""
    try:
        importlib.import_module("torchcodec.decoders").AudioDecoder(file(tone()))
    except (ImportError, OSError, RuntimeError) as error:
        return f"torchcodec can't be used here: {str(error).strip().splitlines()[0]}"
    return ""


@pytest.mark.parametrize("decoder", ["pyav", "torchcodec"])
@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_decoders_agree(decoder: Any, kind: str) -> None:
    data = file(STEREO, kind=kind)
    wanted, found = load(data, channels=2), load(data, channels=2, decoder=decoder)
    if decoder == "torchcodec" and (reason := lacks_torchcodec()):
        with pytest.raises(PluginError, match="torchcodec can't be imported"):
            found.read()
        pytest.skip(reason)
    for start, count in ((0, RATE), (9000, 3000), (15990, 10)):
        np.testing.assert_allclose(found.read(start, count), wanted.read(start, count), atol=1e-4)


def test_the_sound_of_a_video_is_read_from_its_container() -> None:
    """What libsndfile can't open is PyAV's, where that is installed."""
    found = load(film(4, sound=True))
    assert found.decoder == "pyav"
    assert found.duration == pytest.approx(0.64, abs=0.07)
    assert found.read().shape == (1, len(found))


def test_without_pyav_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(DataError, match="pip install av"):
        load(film(4, sound=True))


def test_what_asks_beyond_the_end_is_refused() -> None:
    found = load(tone())
    with pytest.raises(DataError, match="samples 15999 to 16001 of 16000"):
        found.read(15999, 2)
    assert decode(found, 3, 2).shape == (1, 2)


def test_recordings_of_a_telephone_are_offered_as_sounds(tmp_path: Path) -> None:
    found = Audio().suggest({"file": ["a.m4a", "b.M4A"]}, tmp_path, small=True)
    assert found is not None
    assert found.columns == ["file"]
