"""Clips for two networks: the same moments, half of the time one moment twice, and crops of one place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tests.plugins.video.films import numbers, shades
from tests.plugins.video.test_samplers import views

from contrapose.errors import ConfigError

NODE: dict[str, Any] = {"use": "video/streams", "frames": 2, "stride": 1}


def test_both_networks_see_the_same_moments_and_half_of_the_time_one() -> None:
    starts, once = [], 0
    for seed in range(300):
        made = {v.name: v for v in views(NODE, seed=seed)}
        assert [*made] == ["rgb_query", "rgb_key", "flow_query", "flow_key"]
        for slot in ("query", "key"):
            rgb, flow = made[f"rgb_{slot}"], made[f"flow_{slot}"]
            assert rgb.meta == flow.meta
            np.testing.assert_array_equal(rgb.data, flow.data)
        times = [made[f"rgb_{slot}"].meta["time"] for slot in ("query", "key")]
        once += times[0] == times[1]
        starts += {*times}
        assert numbers(made["rgb_query"].data)[0] == int((times[0] - 0.1) * 10 + 1e-3)
    assert stats.binomtest(once, 300, 0.5).pvalue > 0.001
    assert stats.kstest((np.array(starts) - 0.1) / 2.9, "uniform").pvalue > 0.001
    never = {v.name: v.meta["time"] for v in views({**NODE, "same": 0.0})}
    assert never["rgb_query"] != never["rgb_key"]


def test_what_crops_first_crops_one_place_for_both() -> None:
    clip = shades(30, 40, 48) + np.arange(48, dtype=np.uint8)[None, None, :, None]
    dark = {"use": "video/frames", "view": {"use": "image/solarize", "p": 1.0, "threshold": 0.0}}
    made = {
        v.name: v.data
        for v in views({**NODE, "size": 16, "then": {"rgb": "video/crop", "flow": ["video/crop", dark]}}, clip)
    }
    torch.testing.assert_close(made["rgb_query"], 1 - made["flow_query"])
    torch.testing.assert_close(made["rgb_key"], 1 - made["flow_key"])
    assert (made["rgb_query"][:, 0] - made["rgb_query"][:, 0].mean()).abs().max() > 0.05
    with pytest.raises(ConfigError, match="a view for each of rgb, flow"):
        views({**NODE, "then": {"rgb": "video/crop"}})
