"""When clips begin, which frames they hold, and what they say of their time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.plugins.video.films import numbers, shades
from tests.plugins.video.test_decode import UNEVEN

from contrapose import build
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample, View
from contrapose_video import samplers
from contrapose_video.footage import of_frames


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def views(node: Any, frames: Any = 30, seed: int = 0, rate: float = 10.0, times: Any = None) -> list[View]:
    footage = of_frames(shades(frames) if isinstance(frames, int) else frames, rate)
    if times is not None:
        footage = replace(footage, times=np.asarray(times))
    return list(build("view", node, modality="video")(Sample(seed, {"video": footage}), np.random.default_rng(seed)))


def test_cvrls_distance_is_of_its_distribution() -> None:
    """F(d) = 2 d / M - d^2 / M^2: mean M / 3, three of four below M / 2."""
    room = 7.0
    pairs = np.array([samplers.decreasing(room, rng) for rng in rngs(4000)])
    apart = np.abs(pairs[:, 0] - pairs[:, 1])
    assert stats.kstest(apart, lambda d: 2 * d / room - (d / room) ** 2).pvalue > 0.01
    assert apart.mean() == pytest.approx(room / 3, abs=0.1)
    assert np.mean(apart < room / 2) == pytest.approx(0.75, abs=0.02)
    assert pairs.min() >= 0
    assert pairs.max() <= room
    assert np.mean(pairs[:, 0] < pairs[:, 1]) == pytest.approx(0.5, abs=0.03)
    given = pairs.min(axis=1) / np.maximum(room - apart, 1e-12)  # the first is anywhere that leaves place
    assert stats.kstest(given, "uniform").pvalue > 0.01


def test_neighbours_are_near_and_both_anywhere() -> None:
    pairs = np.array([samplers.neighbours(5.0, rng, within=0.5) for rng in rngs(500)])
    assert np.abs(pairs[:, 0] - pairs[:, 1]).max() <= 0.5
    assert pairs.min() >= 0
    assert pairs.max() <= 5
    assert stats.kstest(pairs[:, 0] / 5, "uniform").pvalue > 0.001


def test_a_clip_takes_every_strideth_frame_and_begins_anywhere() -> None:
    firsts = []
    for seed in range(200):
        (view,) = views({"use": "video/clip", "frames": 5, "stride": 3}, seed=seed)
        seen = numbers(view.data)
        assert np.diff(seen).tolist() == [3] * 4
        assert view.meta["time"] == pytest.approx((seen[0] + 7.5) / 10, abs=0.1 + 1e-6)
        assert view.meta["duration"] == pytest.approx(3.0)
        firsts.append(seen[0])
    counts = np.bincount(firsts, minlength=18)
    assert len(counts) == 18
    assert stats.chisquare(counts).pvalue > 0.001


def test_a_rate_goes_by_the_frames_own_times() -> None:
    """In a video of changing rate a clip of 5 a second holds what is shown then."""
    for seed in range(50):
        (view,) = views({"use": "video/clip", "frames": 4, "fps": 5}, seed=seed, times=UNEVEN)
        start = view.meta["time"] - 0.4
        wanted = [np.flatnonzero(start + i / 5 + 1e-4 >= UNEVEN)[-1] for i in range(4)]
        assert numbers(view.data) == wanted


@pytest.mark.parametrize(("short", "seen"), [("loop", [0, 2, 0, 2]), ("clamp", [0, 2, 3, 3])])
def test_short_videos_loop_or_stay(short: str, seen: list[int]) -> None:
    (view,) = views({"use": "video/clip", "frames": 4, "stride": 2, "short": short}, frames=4)
    assert numbers(view.data) == seen


def test_short_videos_may_be_skipped() -> None:
    with pytest.raises(DataError, match=r"too short, 0\.40 s for a clip of 0\.60 s"):
        views({"use": "video/clip", "frames": 4, "stride": 2, "short": "skip"}, frames=4)
    (exact,) = views({"use": "video/clip", "frames": 4, "stride": 1, "short": "skip"}, frames=4)
    assert numbers(exact.data) == [0, 1, 2, 3]


def test_rho_clips_come_in_the_order_of_time() -> None:
    made = views({"use": "video/rho", "clips": 3, "frames": 2, "stride": 1})
    assert [v.name for v in made] == ["clip_0", "clip_1", "clip_2"]
    assert np.all(np.diff([v.meta["time"] for v in made]) >= 0)


def test_a_pace_is_told_and_kept() -> None:
    seen = set()
    for seed in range(40):
        for view in views({"use": "video/pace", "frames": 4, "paces": 3}, seed=seed):
            assert np.diff(numbers(view.data)).tolist() == [view.meta["pace"] + 1] * 3
            seen.add(view.meta["pace"])
    assert seen == {0, 1, 2}


def test_evaluation_spreads_its_clips_and_takes_the_middle_square() -> None:
    made = views({"use": "video/eval", "average": 3, "frames": 4, "stride": 2, "size": 16}, frames=shades(30, 32, 48))
    assert [v.data.shape for v in made] == [(3, 4, 16, 16)] * 3
    firsts = [round(float(v.data[0, 0, 8, 8]) * 255 / 8) for v in made]
    assert firsts == [0, 11, 23]
    (only,) = views({"use": "video/eval", "frames": 4, "stride": 2, "size": 16}, frames=7)
    assert only.name == "clip_0"


def test_what_is_done_then_is_done_to_each_and_keeps_the_time() -> None:
    then = [{"use": "video/frames", "view": "image/flip"}, "video/crop"]
    node = {"use": "video/cvrl", "frames": 2, "stride": 1, "size": 8, "then": then}
    plain, made = views({**node, "then": None}), views(node)
    for before, after in zip(plain, made, strict=True):
        assert after.data.shape == (3, 2, 8, 8)
        assert after.meta == before.meta
        assert after.name == before.name
    own = views({**node, "then": {"a": "video/crop", "b": {"use": "video/crop", "size": 6}}})
    assert [v.data.shape[-1] for v in own] == [8, 6]


def test_a_list_of_views_keeps_the_time() -> None:
    from contrapose.views import Compose

    parts = [
        build("view", n) for n in ({"use": "video/clip", "frames": 2, "stride": 1}, {"use": "video/crop", "size": 8})
    ]
    (made,) = Compose(parts)(Sample(0, {"video": of_frames(shades(30), 10.0)}), np.random.default_rng(0))
    assert set(made.meta) == {"time", "duration"}
    assert made.data.shape == (3, 2, 8, 8)


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ({"a": "video/crop"}, "a view for each of a, b"),
        ("image/flip", "wrap it in video/frames"),
        ("video/crpo", "did you mean"),
    ],
)
def test_mistakes_in_then_are_told(then: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build("view", {"use": "video/cvrl", "then": then})
