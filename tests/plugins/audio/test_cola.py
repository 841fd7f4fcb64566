"""COLA's loss against an independent formula in float64, values and gradients, dense, in tiles, and by two processes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from contrapose import Method
from contrapose.config import build
from contrapose.losses.engine import Engine
from contrapose.testing import assert_ddp_equivalent
from contrapose.types import Batch, ViewBatch

N, OUT, WIDTH = 6, 7, 5


class Toy(nn.Module):
    """(n, 4) to ``pooled`` by a layer."""

    modality = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.dims = nn.Linear(4, WIDTH), {"pooled": WIDTH}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.layer(data)}


def method(similarity: str) -> Method:
    torch.manual_seed(0)
    data = build("method", {"use": "cola", "similarity": similarity, "out": OUT})
    made = Method.from_data(data, {"audio": Toy()}).double()
    made.clock.start(steps_per_epoch=2, epochs=2)
    return made


def batch(seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.arange(N)
    views = {
        f"audio/{slot}": ViewBatch(torch.randn(N, 4, dtype=torch.float64, generator=draw), "audio", ids)
        for slot in ("anchor", "positive")
    }
    return Batch(ids, views, {})


def expected(made: Method, now: Batch, similarity: str) -> Tensor:
    """The authors' ``train_step``: cross-entropy of the rows of a B x B matrix, anchors by positives."""
    w = {name.removeprefix("towers."): p for name, p in made.named_parameters()}
    encoder, head = "encoders.audio.layer", "projectors.online." + ("linear" if similarity == "bilinear" else "net.0")
    out = []
    for slot in ("anchor", "positive"):
        pooled = now.views[f"audio/{slot}"].data @ w[f"{encoder}.weight"].T + w[f"{encoder}.bias"]
        z = pooled @ w[f"{head}.weight"].T + w[f"{head}.bias"]
        if similarity == "bilinear":
            centred = z - z.mean(1, keepdim=True)
            scale = (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
            z = torch.tanh(centred / scale * w["projectors.online.norm.weight"] + w["projectors.online.norm.bias"])
        out.append(z)

    def alike(a: Tensor, p: Tensor) -> Tensor:
        if similarity == "bilinear":
            return a @ w["predictors.online.net.0.weight"].T @ p
        return a @ p / a.norm() / p.norm() / 0.2

    anchors, positives = out
    logits = [torch.stack([alike(a, p) for p in positives]) for a in anchors]
    return torch.stack([row.logsumexp(0) - row[i] for i, row in enumerate(logits)]).mean()


@pytest.mark.parametrize("engine", [Engine("dense"), Engine("tiled", tile=4)], ids=lambda e: e.name)
@pytest.mark.parametrize("similarity", ["bilinear", "cosine"])
def test_cola_is_the_authors_cross_entropy(similarity: str, engine: Engine) -> None:
    made, now = method(similarity), batch()
    made.engine = engine
    value = made(now).loss
    value.backward()
    grads = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    wanted = expected(made, now, similarity)
    torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-12)
    wanted.backward()
    assert len(grads) == len([*made.parameters()]) == (7 if similarity == "bilinear" else 4)
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-7, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("similarity", ["bilinear", "cosine"])
def test_two_processes_equal_one(similarity: str) -> None:
    assert_ddp_equivalent(method(similarity), [batch(seed) for seed in range(2)])
