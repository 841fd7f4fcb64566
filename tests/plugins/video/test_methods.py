"""The methods' losses against independent formulas in float64, values and gradients, and what ``near`` makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose import Method
from contrapose.config import build
from contrapose.errors import ConfigError
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.toy import outputs
from contrapose.types import Batch, ViewBatch

N, PLACES, BLOCKS, STEPS, WIDTH = 4, 3, 4, 2, 6


class Toy(nn.Module):
    """(n, blocks x places, 5) to its taps by one linear layer."""

    modality = "video"

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, WIDTH)
        self.dims = {"pooled": WIDTH, "dense": WIDTH}

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        dense = self.layer(data)
        return {"pooled": dense.mean(1), "dense": dense}


def method(name: str, small: dict[str, Any] | None = None, **arguments: Any) -> Method:
    torch.manual_seed(0)
    data = build("method", {"use": f"video/{name}", **arguments})
    for branch, heads in (small or {}).items():
        data["branches"][branch] |= heads
    made = Method.from_data(data, {"video": Toy()}).double()
    made.clock.start(steps_per_epoch=2, epochs=2)
    return made


def batch(seed: int, slots: tuple[str, ...], **columns: Callable[[torch.Generator], Tensor]) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    ids = torch.arange(N)
    views = {}
    for slot in slots:
        data = torch.randn(N, BLOCKS * PLACES, 5, dtype=torch.float64, generator=draw)
        views[f"video/{slot}"] = ViewBatch(data, "video", ids, {k: column(draw) for k, column in columns.items()})
    return Batch(ids, views, {})


def same_value_and_gradient(made: Method, now: Batch, expected: Callable[[], Tensor]) -> None:
    value = made(now).loss
    value.backward()
    grads = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    wanted = expected()
    torch.testing.assert_close(value, wanted, rtol=1e-9, atol=1e-12)
    wanted.backward()
    assert grads
    for name, parameter in made.named_parameters():
        if name in grads and parameter.grad is not None:
            torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-7, atol=1e-10)


HEAD = {"projector": {"use": "mlp", "out": 5, "hidden": 7, "norm": "none"}}


def test_cvrl_adds_the_two_directions() -> None:
    """contrastive_loss of official/projects/video_ssl: logits of both clips, self left out."""
    made, now = method("cvrl", {"online": HEAD}), batch(0, ("a", "b"), time=lambda g: torch.rand(N, generator=g))

    def expected() -> Tensor:
        a, b = F.normalize(outputs(made, now).rows("online").z, dim=1).chunk(2)
        labels, mask = torch.arange(N), torch.eye(N, dtype=torch.float64) * 1e9
        one = F.cross_entropy(torch.cat([a @ b.T / 0.1, a @ a.T / 0.1 - mask], 1), labels)
        two = F.cross_entropy(torch.cat([b @ a.T / 0.1, b @ b.T / 0.1 - mask], 1), labels)
        return one + two

    same_value_and_gradient(made, now, expected)


def test_near_leaves_distant_clips_of_a_video_out() -> None:
    """Clips of one video farther apart than ``near`` are neither positives nor negatives; the others are as before."""
    now = batch(0, ("a", "b"), time=lambda g: torch.zeros(N))
    now.views["video/b"].meta["time"] = torch.tensor([0.5, 3.0, 0.5, 3.0])
    made = method("cvrl", {"online": HEAD}, near=1.0)

    def expected() -> Tensor:
        z = F.normalize(outputs(made, now).rows("online").z, dim=1)
        logits, video = z @ z.T / 0.1, torch.arange(N).repeat(2)
        losses = []
        for i in range(2 * N):
            other = (i + N) % (2 * N)
            if video[i] % 2:
                continue  # 3 seconds apart
            counts = [j for j in range(2 * N) if j == other or video[j] != video[i]]
            losses.append(logits[i, counts].logsumexp(0) - logits[i, other])
        return 2 * torch.stack(losses).mean()

    same_value_and_gradient(made, now, expected)


def test_rho_moco_contrasts_each_other_clips_key_with_the_queue_alone() -> None:
    """ContrastiveModel of SlowFast: rows (q k+, q queue) one below the other for every other clip's key."""
    made = method("rho-moco", {"online": HEAD}, clips=3, size=12)
    slots = ("clip_0", "clip_1", "clip_2")
    made(batch(1, slots))
    made.advance()
    now = batch(2, slots)

    def expected() -> Tensor:
        out = outputs(made, now)
        q, k = (F.normalize(out.rows(name).z, dim=1).chunk(3) for name in ("online", "key"))
        queue = out.rows("queue").z
        losses = []
        for i in range(3):
            for j in range(3):
                if i != j:
                    own = (q[i] * k[j].detach()).sum(1, keepdim=True)
                    losses.append(F.cross_entropy(torch.cat([own, q[i] @ queue.T], 1) / 0.1, torch.zeros(N).long()))
        return torch.stack(losses).mean()

    assert len(outputs(made, now).rows("queue")) == 12
    same_value_and_gradient(made, now, expected)


def test_rho_byol_predicts_every_other_clip() -> None:
    heads = {"projector": HEAD["projector"], "predictor": {"use": "mlp", "hidden": 7, "norm": "none"}}
    made, now = method("rho-byol", {"online": heads}, clips=3), batch(0, ("clip_0", "clip_1", "clip_2"))

    def expected() -> Tensor:
        out = outputs(made, now)
        p, t = (F.normalize(out.rows(name).z, dim=1).chunk(3) for name in ("online", "target"))
        pairs = [2 - 2 * (p[i] * t[j].detach()).sum(1).mean() for i in range(3) for j in range(3) if i != j]
        return 2 * torch.stack(pairs).mean()

    same_value_and_gradient(made, now, expected)


def test_pace_is_a_cross_entropy_and_a_tenth_of_the_contrast() -> None:
    made = method("pace", {"online": HEAD}, paces=3)
    now = batch(0, ("a", "b"), pace=lambda g: torch.randint(3, (N,), generator=g))

    def expected() -> Tensor:
        out = outputs(made, now)
        rows = out.rows("features")
        layer = next(m for m in made.modules() if isinstance(m, nn.Linear) and m.out_features == 3)
        told = F.cross_entropy(layer(rows.z), rows.meta["pace"])
        z = F.normalize(out.rows("online").z, dim=1)
        logits = (z @ z.T / 0.5).masked_fill(torch.eye(2 * N, dtype=torch.bool), -torch.inf)
        return told + 0.1 * F.cross_entropy(logits, (torch.arange(2 * N) + N) % (2 * N))

    same_value_and_gradient(made, now, expected)


def test_what_has_no_pace_or_too_many_is_told() -> None:
    with pytest.raises(ConfigError, match="no column 'pace'"):
        method("pace", {"online": HEAD}).loss(batch(0, ("a", "b")))
    with pytest.raises(ConfigError, match="beyond 2 classes"):
        method("pace", {"online": HEAD}, paces=2).loss(batch(0, ("a", "b"), pace=lambda g: torch.full((N,), 3)))


def test_dpc_is_the_authors_score_over_all_places_to_come() -> None:
    """DPC_RNN: a convolutional GRU of kernel 1, predictions one after the other, and one softmax over (B, steps, places)."""
    made, now = method("dpc", blocks=BLOCKS, steps=STEPS), batch(0, ("clip",))

    def expected() -> Tensor:
        dense = made.encoders["video"](now.views["video/clip"].data)["dense"].view(N, BLOCKS, PLACES, WIDTH)
        head: Any = next(m for m in made.modules() if type(m).__name__ == "Predict")
        maps = dense.permute(0, 1, 3, 2)[..., None]  # (B, N, D, H, 1), as images

        def conv(layer: nn.Linear, x: Tensor) -> Tensor:
            return F.conv2d(x, layer.weight[..., None, None], layer.bias)

        def cell(x: Tensor, h: Tensor) -> Tensor:
            both = torch.cat([x, h], 1)
            z, r = torch.sigmoid(conv(head.cell.update, both)), torch.sigmoid(conv(head.cell.reset, both))
            return h * (1 - z) + torch.tanh(conv(head.cell.new, torch.cat([x, h * r], 1))) * z

        hidden = torch.zeros_like(maps[:, 0])
        for t in range(BLOCKS - STEPS):
            hidden = cell(F.relu(maps[:, t]), hidden)
        made_ahead = []
        for _ in range(STEPS):
            p = conv(head.predict[2], F.relu(conv(head.predict[0], hidden)))
            made_ahead.append(p)
            hidden = cell(F.relu(p), hidden)
        pred = torch.stack(made_ahead, 1).permute(0, 1, 3, 4, 2).reshape(-1, WIDTH)
        truth = maps[:, BLOCKS - STEPS :].permute(0, 1, 3, 4, 2).reshape(-1, WIDTH)
        return F.cross_entropy(pred @ truth.T, torch.arange(N * STEPS * PLACES))

    same_value_and_gradient(made, now, expected)


def test_memdpc_is_the_authors_two_losses_over_one_memory() -> None:
    """MemDPC_BD: the clip and its reversal, each through its own GRU, and both through one memory; the two losses are added."""
    made, now = method("memdpc", blocks=BLOCKS, steps=STEPS, memory=7), batch(0, ("clip",))

    def expected() -> Tensor:
        dense = made.encoders["video"](now.views["video/clip"].data)["dense"].view(N, BLOCKS, PLACES, WIDTH)
        head: Any = next(m for m in made.modules() if type(m).__name__ == "Remember")
        total = torch.zeros((), dtype=torch.float64)
        for gru, maps in ((head.onwards, dense), (head.backwards, dense.flip(1))):

            def cell(x: Tensor, h: Tensor, gru: Any = gru) -> Tensor:
                z, r = (torch.sigmoid(layer(torch.cat([x, h], -1))) for layer in (gru.update, gru.reset))
                return h * (1 - z) + torch.tanh(gru.new(torch.cat([x, h * r], -1))) * z

            hidden = torch.zeros_like(maps[:, 0])
            for t in range(BLOCKS - STEPS):
                hidden = cell(F.relu(maps[:, t]), hidden)
            pool = []
            for _ in range(STEPS):
                logits = head.address[2](F.relu(head.address[0](hidden)))
                pool.append(torch.einsum("bpm,mc->bpc", torch.softmax(logits, 2), head.memory))
                hidden = cell(F.relu(pool[-1]), hidden)
            pred = torch.stack(pool, 1).reshape(-1, WIDTH)
            truth = maps[:, -STEPS:].reshape(-1, WIDTH)
            total = total + F.cross_entropy(pred @ truth.T, torch.arange(N * STEPS * PLACES))
        return total

    same_value_and_gradient(made, now, expected)


def test_places_that_are_no_blocks_are_told() -> None:
    for name in ("dpc", "memdpc"):
        with pytest.raises(ConfigError, match="aren't those of 5 blocks"):
            method(name, blocks=5, steps=2).loss(batch(0, ("clip",)))
        with pytest.raises(ConfigError, match="fewer than 4 blocks"):
            method(name, blocks=4, steps=4)


@pytest.mark.parametrize(
    ("name", "arguments", "slots"),
    [
        ("cvrl", {}, ("a", "b")),
        ("rho-moco", {"clips": 3, "size": 12}, ("clip_0", "clip_1", "clip_2")),
        ("rho-byol", {"clips": 3}, ("clip_0", "clip_1", "clip_2")),
        ("pace", {"paces": 3}, ("a", "b")),
        ("dpc", {"blocks": BLOCKS, "steps": STEPS}, ("clip",)),
        ("memdpc", {"blocks": BLOCKS, "steps": STEPS, "memory": 7}, ("clip",)),
    ],
)
def test_two_processes_equal_one(name: str, arguments: dict[str, Any], slots: tuple[str, ...]) -> None:
    def given(seed: int) -> Batch:
        return batch(seed, slots, pace=lambda g: torch.randint(3, (N,), generator=g))

    heads = {"projector": HEAD["projector"], **({"predictor": HEAD["projector"]} if name == "rho-byol" else {})}
    made = method(name, {} if name in ("dpc", "memdpc") else {"online": heads}, **arguments)
    assert_ddp_equivalent(made, [given(0), given(1)])
