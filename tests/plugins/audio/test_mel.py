"""Log-mels against a plain computation in float64, torchaudio's own, and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from tests.plugins.audio.sounds import RATE, noise, tone

from contrapose import build
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample
from contrapose_audio.mel import MELS, LogMel, mel_of


def plain(wave: Any, rate: int = RATE) -> Any:
    """COLA's, by its definition: frames of 400 under a periodic Hann window, filled up to 1024, HTK's mel triangles in Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(wave.astype(np.float64), 400)[::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    spectra = np.abs(np.fft.rfft(frames * window, 1024))
    edges = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (60, 7800)), 66)
    low, mid, high = (700 * (10 ** (edges[i : i + 64] / 2595) - 1) for i in range(3))
    bins = np.arange(513)[:, None] * rate / 1024
    bands = np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid)).clip(0)
    return np.log(np.maximum(spectra @ bands, 1e-5)).T


@pytest.mark.parametrize(
    "wave", [noise(), tone(1.0, 1000), np.zeros(RATE, np.float32)], ids=["noise", "tone", "silence"]
)
def test_colas_log_mel_is_its_definition(wave: Any) -> None:
    made = build("view", "audio/log-mel")(Sample(0, {"audio": wave}), np.random.default_rng(0))[0].data
    assert (made.dtype, made.shape) == (np.float32, (1, 64, 98))
    wanted = np.exp(plain(wave))
    np.testing.assert_allclose(np.exp(made[0]), wanted, rtol=1e-3, atol=1e-6 * wanted.max())
    assert np.isfinite(made).all()


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
@pytest.mark.parametrize(("name", "rate"), [("cola", 16000), ("byol-a", 16000), ("clap", 48000)])
def test_a_batch_has_torchaudios_log_mels(name: Any, rate: int, device: str) -> None:
    waves = torch.from_numpy(np.stack([[noise(0.95, s, rate), noise(0.95, s + 9, rate)] for s in range(3)]))
    log_mel, m = LogMel(name, rate), MELS[name]
    made = log_mel.batched(waves.to(device), torch.Generator()).cpu()
    around = 0 if m.centre else (m.fft - m.window) // 2
    peer = torchaudio.transforms.MelSpectrogram(
        rate, m.fft, m.window, m.hop, m.low, min(m.high, rate / 2), around, m.mels, power=m.power, center=m.centre
    )
    torch.testing.assert_close(made, peer(waves).clamp_min(m.floor).log(), atol=1e-4, rtol=0)
    for row, wave in zip(made, waves, strict=True):
        one = log_mel(Sample(0, {"audio": wave.numpy()}), np.random.default_rng(0))[0].data
        torch.testing.assert_close(torch.from_numpy(one), row, atol=1e-4, rtol=0)
    assert made.shape == (3, 2, 64, {"cola": 93, "byol-a": 96, "clap": 96}[name])


def test_a_mapping_changes_what_it_names() -> None:
    assert mel_of({"mels": 80, "low": 20.0}).mels == 80
    assert mel_of({"like": "byol-a", "mels": 80}).window == 1024
    assert LogMel("cola", 8000).bands.shape == (513, 64), "bands end at half the rate"
    for said, message in (
        ({"mel": 80}, "no 'mel'; did you mean 'mels'"),
        ({"mels": 0}, "greater than or equal to 1|at least 1|>= 1"),
        ({"like": "panns"}, "panns"),
        ({"window": 2048}, "window <= fft"),
        ({"low": 9000.0}, "low < high"),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            build("view", {"use": "audio/log-mel", "mel": said})
        assert error.value.path[0] == "mel"


def test_what_is_no_wave_is_refused() -> None:
    log_mel = LogMel()
    with pytest.raises(DataError, match="100 samples are too few for a log-mel, which needs 400"):
        log_mel(Sample(0, {"audio": np.zeros(100, np.float32)}), np.random.default_rng(0))
    with pytest.raises(DataError, match="stands before audio/log-mel"):
        log_mel(Sample(0, {"audio": np.zeros((1, 64, 98), np.float32)}), np.random.default_rng(0))
    with pytest.raises(DataError, match="audio/log-mel stands once"):
        log_mel.batched(torch.zeros(2, 1, 64, 98), torch.Generator())


def test_a_frame_of_the_fewest_samples_has_one_column_whether_odd_or_even() -> None:
    for window, needed in ((400, 400), (401, 402), (1023, 1024)):
        log_mel = LogMel({"window": window})
        assert log_mel.of(torch.zeros(1, needed)).shape == (1, 64, 1)
        with pytest.raises(DataError, match=f"needs {needed}"):
            log_mel.of(torch.zeros(1, needed - 1))


@pytest.mark.parametrize("said", [{"mels": 10**8}, {"fft": 2**34}])
def test_a_log_mel_of_any_size_isnt_tried(said: Any) -> None:
    with pytest.raises(ConfigError, match="expected less than or equal to"):
        LogMel(said)
