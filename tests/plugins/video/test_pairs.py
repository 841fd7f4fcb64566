"""Videos with their text and their sound: the losses against independent formulas in float64, and what ``near`` makes of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.plugins.video.test_methods import same_value_and_gradient
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose import Method
from contrapose.config import build
from contrapose.errors import ConfigError
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.toy import outputs
from contrapose.types import Batch, ViewBatch

N = 5
TIMES = {"video": torch.tensor([1.0, 2.0, 3.0, 4.0, 15.0]), "audio": torch.tensor([1.5, 7.0, 2.5, 4.0, 9.0])}
"""Seconds, of five clips and of their first sounds; the second ones are six seconds later."""


class Toy(nn.Module):
    """(n, 5) by one linear layer."""

    def __init__(self, modality: str) -> None:
        super().__init__()
        self.modality, self.dims = modality, {"pooled": 6}
        self.layer = nn.Linear(5, 6)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.layer(data)}


def method(name: str, other: str, **arguments: Any) -> Method:
    torch.manual_seed(0)
    data = build("method", {"use": f"video/{name}", "out": 4, **arguments})
    made = Method.from_data(data, {m: Toy(m) for m in ("video", other)}).double()
    made.clock.start(steps_per_epoch=2, epochs=2)
    return made


def batch(other: str, times: bool = True, clips: int = 1, sounds: int = 1, seed: int = 0) -> Batch:
    draw, ids = torch.Generator().manual_seed(seed), torch.arange(N)
    views = {}
    for m, count in (("video", clips), (other, sounds)):
        for i in range(count):
            meta = {"time": TIMES[m].double() + 6 * i} if times else {}
            data = torch.randn(N, 5, dtype=torch.float64, generator=draw)
            views[f"{m}/{i}"] = ViewBatch(data, m, ids, meta)
    return Batch(ids, views, {})


def tables(made: Method, now: Batch, other: str) -> tuple[Tensor, Tensor]:
    out = outputs(made, now)
    return F.normalize(out.rows("video").z, dim=1), F.normalize(out.rows(other).z, dim=1)


def test_video_clip_is_clips_loss() -> None:
    made, now = method("video-clip", "text", tau=0.5), batch("text", times=False)

    def expected() -> Tensor:
        v, t = tables(made, now, "text")
        scale = next(p for n, p in made.named_parameters() if "tau" in n or "temperature" in n).exp()
        logits, labels = v @ t.T * scale, torch.arange(N)
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2

    same_value_and_gradient(made, now, expected)


def test_several_clips_are_all_positives_of_their_text() -> None:
    made, now = method("video-clip", "text", tau=0.5), batch("text", times=False, clips=2)
    v, t = tables(made, now, "text")
    log_v = torch.log_softmax(v @ t.T * 2, 1)  # each clip finds its text
    log_t = torch.log_softmax(t @ v.T * 2, 1)  # each text its two clips
    video = torch.arange(N).repeat(2)
    wanted = [-log_v[i, video[i]] for i in range(2 * N)]
    wanted += [-(log_t[i, i] + log_t[i, N + i]) / 2 for i in range(N)]
    torch.testing.assert_close(made.loss(now).loss, torch.stack(wanted).mean())


@pytest.mark.parametrize(("near", "shifted"), [(None, False), (1.0, False), (1.0, True)])
def test_video_audio_both_ways(near: float | None, shifted: bool) -> None:
    """get_losses of GDT, gradients on both sides; with ``near``, sounds out of step with a clip are left out, or are negatives."""
    made, now = method("video-audio", "audio", near=near, shifted=shifted, tau=0.2), batch("audio", sounds=2)

    def expected() -> Tensor:
        v, a = tables(made, now, "audio")
        own = torch.arange(N)[:, None] == torch.arange(N).repeat(2)
        step = (TIMES["video"][:, None] - torch.cat([TIMES["audio"], TIMES["audio"] + 6])).abs()
        positive = own if near is None else own & (step <= near)
        counts = positive | ~own if not shifted else torch.ones_like(own)
        losses = []
        for logits, p, c in ((v @ a.T / 0.2, positive, counts), (a @ v.T / 0.2, positive.T, counts.T)):
            for i in p.any(1).nonzero()[:, 0]:
                log_p = logits[i] - logits[i, c[i]].logsumexp(0)
                losses.append(-log_p[p[i]].mean())
        return torch.stack(losses).mean()

    same_value_and_gradient(made, now, expected)


def test_a_sound_without_a_time_is_told() -> None:
    made = method("video-audio", "audio", near=1.0)
    with pytest.raises(ConfigError, match="asks for the column 'time'"):
        made.loss(batch("audio", times=False))


@pytest.mark.parametrize(
    ("name", "other", "arguments"),
    [pytest.param("video-clip", "text", {}, marks=pytest.mark.slow), ("video-audio", "audio", {"near": 1.0})],
)
def test_two_processes_equal_one(name: str, other: str, arguments: dict[str, Any]) -> None:
    made = method(name, other, **arguments)
    assert_ddp_equivalent(made, [batch(other, times=other == "audio", seed=seed) for seed in (0, 1)])
