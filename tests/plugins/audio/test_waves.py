"""What views do to waves, and of which distributions their draws are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tests.plugins.audio.sounds import RATE, noise, tone

from contrapose import build
from contrapose.errors import ConfigError
from contrapose_audio.waves import fade, gain, pitch, reverb, speed, time_mask
from contrapose_audio.waves import noise as noisy


def made(view: Any, wave: Any, count: int = 1, **arguments: Any) -> Any:
    """(count, samples): draws of one wave by the batched form, or by the plain one."""
    if hasattr(view, "batched") and count > 1:
        return view(torch.from_numpy(wave).expand(count, 1, -1), torch.Generator().manual_seed(0), **arguments)[
            :, 0
        ].numpy()
    return np.stack([view(wave, np.random.default_rng(seed), **arguments)[0].numpy() for seed in range(count)])


def decibel(ratio: Any) -> Any:
    return 20 * np.log10(ratio)


def test_gain_is_uniform_in_decibels() -> None:
    found = decibel(made(gain, np.ones(1, np.float32), 3000, low=-10.0, high=2.0)[:, 0])
    assert stats.kstest(found, stats.uniform(-10, 12).cdf).pvalue > 0.01


@pytest.mark.parametrize(("colour", "slope"), [("white", 0), ("pink", -10), ("brown", -20)])
def test_noise_has_its_ratio_and_its_colour(colour: Any, slope: float) -> None:
    wave = tone(0.25, 1000)
    added = made(noisy, wave, 300, low=3.0, high=15.0, colour=colour) - wave
    ratio = decibel(np.sqrt(np.square(wave).mean() / np.square(added).mean(axis=1)))
    assert stats.kstest(ratio, stats.uniform(3, 12).cdf).pvalue > 0.01
    power = np.square(np.abs(np.fft.rfft(added / added.std(axis=1, keepdims=True)))).mean(axis=0)
    octaves = np.log10(np.arange(20, 1000))
    assert 10 * np.polyfit(octaves, np.log10(power[20:1000]), 1)[0] == pytest.approx(slope, abs=0.5)
    assert not made(noisy, np.zeros(100, np.float32)).any(), "silence stays silent"


def rise(shape: int, length: int) -> Any:
    """One of the authors' five fades, then 1; (100,)."""
    x = np.linspace(0, 1, length)
    shapes = [
        x,
        2 ** (x - 1) * x,
        np.log10(0.1 + x) + 1,
        np.sin(x * np.pi / 2),
        np.sin(x * np.pi - np.pi / 2) / 2 + 0.5,
    ]
    return np.concatenate([shapes[shape].clip(0, 1), np.ones(100 - length)])


def test_fades_are_of_the_authors_shapes_and_sizes() -> None:
    found = made(fade, np.ones(200, np.float32), 1500)  # each takes less than half, so the two don't meet
    rises = np.array([[rise(kind, length) for length in range(100)] for kind in range(5)])
    kinds, lengths = [], []
    for row in found:
        first, last = (np.abs(rises - half).max(axis=2) < 1e-5 for half in (row[:100], row[:99:-1]))
        assert (first.any(axis=1) & last.any(axis=1)).any(), "both ways by one shape"
        if first.sum() == 1:
            kinds.append(int(first.any(axis=1).argmax()))
            lengths.append([int(ends.argmax()) for ends in (first[kinds[-1]], last[kinds[-1]])])
    assert stats.chisquare(np.bincount(kinds)).pvalue > 0.001
    for ends in np.array(lengths).T:
        assert ends.max() <= 99
        assert stats.chisquare(np.histogram(ends[ends >= 10], 9, (10, 100))[0]).pvalue > 0.001


def test_time_masks_are_an_eighth_half_of_the_time() -> None:
    found = made(time_mask, np.ones(160, np.float32), 3000)
    masked = np.abs(found - 1) > 0.5
    counts = masked.sum(axis=1)
    assert set(counts) == {0, 20}
    assert np.mean(counts > 0) == pytest.approx(0.5, abs=0.03)
    first = masked.argmax(axis=1)[counts > 0]
    assert (first.min(), first.max()) == (0, 139)
    assert stats.chisquare(np.histogram(first, 10, (0, 140))[0]).pvalue > 0.001
    assert found[masked].std() == pytest.approx(0.01, rel=0.05)
    assert not made(time_mask, np.ones(160, np.float32), 50, loud=0.0, p=1.0).all()


def test_reverb_dies_away_at_its_rate() -> None:
    click = np.zeros(RATE, np.float32)
    click[0] = 1.0
    found = made(reverb, click, 60, low=0.3, high=0.3, wet=1.0)
    echo = found[:, 1:]
    level = 10 * np.log10(
        np.square(echo / np.abs(echo).max(axis=1, keepdims=True))
        .reshape(60, -1)[:, :4000]
        .reshape(60, 40, 100)
        .mean(axis=(0, 2))
    )
    assert np.polyfit(np.arange(40) * 100 / RATE, level, 1)[0] == pytest.approx(-60 / 0.3, rel=0.05)
    share = 1 - found[:, 0]
    assert stats.kstest(share, "uniform").pvalue > 0.001  # but for the impulse's first sample, which is small
    assert made(reverb, noise(0.1), 1).shape == (1, 1600)


def loudest(wave: Any) -> int:
    """Hz of the strongest frequency of a second."""
    return int(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax())


def test_speed_changes_pitch_and_length_together() -> None:
    factors = []
    for row in made(speed, tone(1.0, 1000), 40):
        assert row.shape == (RATE,)
        silent = np.abs(row) < 1e-6
        lost = int(np.argmin(silent)) + int(np.argmin(silent[::-1]))
        factors.append(loudest(row) / 1000)
        assert lost == pytest.approx(max(0.0, 1 - 1 / factors[-1]) * RATE, abs=60)
    assert stats.kstest(factors, stats.uniform(0.9, 0.2).cdf).pvalue > 0.001


def test_pitch_changes_alone() -> None:
    steps = []
    for row in made(pitch, tone(1.0, 1000), 40):
        assert row.shape == (RATE,)
        assert np.abs(row[4000:12000]).max() == pytest.approx(0.3, abs=0.06)
        steps.append(12 * np.log2(loudest(row) / 1000))
    assert stats.kstest(steps, stats.uniform(-4, 8).cdf).pvalue > 0.001
    assert made(pitch, tone(0.01)).shape == (1, 160)


@pytest.mark.parametrize("node", [{"use": "audio/speed", "low": 0.001}, {"use": "audio/pitch", "semitones": 100}])
def test_what_no_filter_can_do_is_refused(node: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected (greater|less) than or equal to"):
        build("view", node)
