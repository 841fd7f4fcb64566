"""Where parts lie, what they say of their time, and what becomes of short recordings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.plugins.audio.sounds import RATE, noise, tone

from contrapose import build
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample, View
from contrapose_audio.recording import of_samples


def views(node: Any, wave: Any, seed: int = 0) -> list[View]:
    sample = Sample(seed, {"audio": of_samples(wave, RATE, 1)})
    return list(build("view", node, modality="audio")(sample, np.random.default_rng(seed)))


def test_a_crop_begins_at_any_sample_that_leaves_room() -> None:
    ramp = np.arange(3 * 160, dtype=np.float32)
    crop, sample = (
        build("view", {"use": "audio/crop", "seconds": 0.01}),
        Sample(0, {"audio": of_samples(ramp, RATE, 1)}),
    )
    starts = []
    for seed in range(3000):
        (view,) = crop(sample, np.random.default_rng(seed))
        first = int(view.data[0, 0])
        np.testing.assert_array_equal(view.data[0], ramp[first : first + 160])
        assert view.meta == {"time": pytest.approx((first + 80) / RATE), "duration": 0.03}
        starts.append(first)
    assert (min(starts), max(starts)) == (0, 320)
    assert stats.chisquare(np.histogram(starts, 10, (0, 321))[0]).pvalue > 0.001


def test_short_recordings_are_padded_looped_or_left_out() -> None:
    wave = noise(0.3)
    crop = {"use": "audio/crop", "seconds": 0.5}
    (padded,) = views(crop, wave)
    assert padded.data.shape == (1, 8000)
    np.testing.assert_array_equal(padded.data[0, 1600:6400], wave)
    assert not padded.data[0, :1600].any()
    assert not padded.data[0, 6400:].any()
    assert padded.meta["time"] == pytest.approx(0.15)
    (looped,) = views({**crop, "short": "loop"}, wave)
    np.testing.assert_array_equal(looped.data[0], np.concatenate([wave, wave[:3200]]))
    with pytest.raises(DataError, match=r"too short, 0\.30 s for a part of 0\.50 s"):
        views({**crop, "short": "skip"}, wave)


def test_evaluation_spreads_its_parts_evenly() -> None:
    node = {"use": "audio/eval", "seconds": 0.5, "average": 3, "mel": None}
    ramp = np.arange(2 * RATE, dtype=np.float32)
    made = views(node, ramp)
    assert [v.data[0, 0] for v in made] == [0, 12000, 24000]
    assert [v.meta["time"] for v in made] == [0.25, 1.0, 1.75]
    assert [v.data[0, 0] for v in views({**node, "average": 1}, ramp)] == [12000]
    assert len(views({**node, "short": "skip"}, ramp[:100])) == 1
    assert [v.data.shape for v in views({"use": "audio/eval"}, ramp)] == [(1, 64, 98)] * 3
    louder = {**node, "then": [{"use": "audio/gain", "low": 20.0, "high": 20.0}]}
    np.testing.assert_allclose(views(louder, ramp)[1].data, 10 * made[1].data, rtol=1e-5)


def test_a_crop_of_a_wave_that_another_view_made() -> None:
    crop = build("view", {"use": "audio/crop", "seconds": 0.1}, modality="audio", rate=8000)
    (view,) = crop(Sample(0, {"audio": tone()[None]}), np.random.default_rng(0))
    assert view.data.shape == (1, 800)
    with pytest.raises(DataError, match="not a log-mel"):
        crop(Sample(0, {"audio": np.zeros((1, 4, 4), np.float32)}), np.random.default_rng(0))


def test_a_part_is_finite() -> None:
    with pytest.raises(ConfigError, match="finite"):
        build("view", {"use": "audio/crop", "seconds": float("inf")})
