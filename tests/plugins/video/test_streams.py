"""Two networks: their clips are of the same moments, half of the time of one twice, and each learns from what the other finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tests.plugins.video.films import numbers, shades
from tests.plugins.video.test_methods import N, Toy, batch, same_value_and_gradient
from tests.plugins.video.test_samplers import views
from torch import Tensor
from torch.nn import functional as F

from contrapose import Method, build
from contrapose.errors import ConfigError
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.toy import outputs
from contrapose_video.two_stream import NAMES, STREAMS

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


def two_stream(**arguments: Any) -> Method:
    torch.manual_seed(0)
    data = build("method", {"use": "video/two-stream", "size": N, "top": 2, "tau": 0.3, "out": 4, **arguments})
    made = Method.from_data(data, {"rgb": Toy(), "flow": Toy()}).double()
    made.clock.start(steps_per_epoch=2, epochs=2)
    return made


@pytest.mark.parametrize("learn", [None, "rgb", "flow"])
def test_each_network_learns_from_what_the_other_finds(learn: str | None) -> None:
    """CoCLR.forward and multi_nce_loss: own key, the video's and the 2 nearest by the other network's key are positives."""
    made, now = two_stream(learn=learn), batch(2, NAMES)
    made(batch(1, NAMES))
    made.advance()

    def expected() -> Tensor:
        out, total = outputs(made, now), torch.zeros((), dtype=torch.float64)
        for stream, other in (("rgb", "flow"), ("flow", "rgb")):
            if learn not in (None, stream):
                continue
            q, k, judge = (F.normalize(out.rows(r).z, dim=1) for r in (stream, f"{stream}_key", f"{other}_key"))
            queue, pool = out.rows(f"{stream}_queue"), F.normalize(out.rows(f"{other}_queue").z, dim=1)
            video = torch.arange(N)[:, None] == queue.meta["sample"]
            nearest = (judge @ pool.T).masked_fill(video, -torch.inf).topk(2).indices
            mask = video.double().scatter(1, nearest, 1.0)
            mask = torch.cat([torch.ones(N, 1), mask], dim=1)
            logits = torch.cat([(q * k.detach()).sum(1, keepdim=True), q @ queue.z.T], dim=1) / 0.3
            total = total - torch.log((torch.softmax(logits, dim=1) * mask).sum(1)).mean()
        return total

    same_value_and_gradient(made, now, expected)
    grads = {n for n, p in made.named_parameters() if p.grad is not None and p.grad.any()}
    for stream in STREAMS:
        assert any(f".{stream}." in n for n in grads) == (learn in (None, stream))


@pytest.mark.slow
def test_two_processes_equal_one() -> None:
    assert_ddp_equivalent(two_stream(), [batch(seed, NAMES) for seed in range(2)])
