"""Encoders and losses that break their contracts, each by what the kit says: ``{contract: {check: {says: component}}}``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tests.core.pulses import (
    CosineContract,
    Far,
    HeadLossContract,
    Net,
    NetContract,
    SetContract,
    after,
    before,
    but,
)
from torch import nn

from contrapose.losses.sets import VICReg
from contrapose.losses.simple import Cosine


class Plain:
    """No module and no loss."""


class Leftover(Net):
    """It has a layer that nothing uses."""

    def __init__(self, longest: int, width: int = 4) -> None:
        super().__init__(longest, width)
        self.unused = nn.Linear(2, 2)


class Secret(Net):
    """It keeps something that can't be copied."""

    def __init__(self, longest: int, width: int = 4) -> None:
        super().__init__(longest, width)
        self.lines = (line for line in ())


class Sealed(Net):
    """It can be copied, but not pickled."""

    def __deepcopy__(self, memo):
        twin = Sealed(self.first.in_features)
        twin.load_state_dict(self.state_dict())
        return twin.train(self.training)

    def __reduce__(self):
        raise TypeError("no")


class Tied(Net):
    """Two names for one tensor."""

    def __init__(self, longest: int, width: int = 4) -> None:
        super().__init__(longest, width)
        self.alias = self.first


class Numpy(Net):
    """Weights from numpy's random state."""

    def __init__(self, longest: int, width: int = 4) -> None:
        super().__init__(longest, width)
        self.first.weight.data = torch.from_numpy(np.random.randn(width, longest)).float()


class Half(Net):
    """It overflows in low precision."""

    def forward(self, data):
        taps = super().forward(data)
        return {**taps, "pooled": taps["pooled"] * (1e39 if torch.is_autocast_enabled("cpu") else 1.0)}


def pools(change: Callable[..., Any]) -> type:
    """An encoder whose pooled tap goes through ``change``."""
    return after(Net, "forward", lambda self, taps, *a: {**taps, "pooled": change(taps["pooled"])})


def drifts(self: Any, data: Any) -> None:
    self.norm.num_batches_tracked += 1


def summed(self: Any, data: Any) -> None:
    """Adds what autocast made to a table of fp32."""
    z = self.first(data["x"])
    torch.zeros(z.shape).index_add_(0, torch.arange(len(z)), z)


def pairs(change: Callable[..., Any]) -> type:
    """A pair loss whose value and validity go through ``change(sums)``."""
    return but(Cosine, finish=lambda self, acc, scale: change(acc))


def sets(loss: Callable[..., Any]) -> type:
    """A set loss."""
    return but(VICReg, __call__=lambda self, *tables: loss(*(t.z for t in tables)))


def heads(loss: Callable[..., Any]) -> type:
    """A head loss, ``loss(layer, z, batch)``."""
    return but(Far, forward=lambda self, out, batch: loss(self.layer, out.rows("online").z, batch))


ENCODERS: dict[str, dict[str, type]] = {
    "test_it_is_a_module_that_says_what_it_reads_and_gives": {
        "an nn.Module, not Plain": Plain,
        "needs modality": nn.Identity,
        "modality says 'echo'": but(Net, modality="echo"),
        "needs 'pooled'": but(Net, dims=property(lambda self: {"dense": 4}, lambda *a: None)),
    },
    "test_taps_are_as_wide_as_declared": {
        r"is \(5, 8\), but must be \(5, 4\)": pools(lambda z: torch.cat([z, z], 1)),
        r"is \(5, 1, 4\), but must be \(5, 4\)": pools(lambda z: z[:, None]),
        "make them equal": after(Net, "forward", lambda self, taps, *a: {"pooled": taps["pooled"]}),
        "a mapping from tap": after(Net, "forward", lambda self, taps, *a: taps["pooled"]),
        "its batch in place": before(Net, "forward", lambda self, data: data["x"].add_(1)),
    },
    "test_no_rows_are_a_batch_too": {
        "must accept 0 rows": before(Net, "forward", lambda self, data: data["x"].amax()),
        "keep their gradient": pools(lambda z: z if len(z) else z.detach()),
        "of 0 rows": pools(lambda z: z if len(z) else z[:, :1]),
    },
    "test_the_gradient_reaches_every_parameter": {"reaches unused.weight, unused.bias": Leftover},
    "test_evaluation_is_a_function_of_the_batch": {
        "such as dropout": pools(lambda z: torch.dropout(z, 0.5, True)),
        "buffers alone": before(Net, "forward", drifts),
    },
    "test_rows_do_not_see_each_other_in_evaluation": {
        "normalise by running statistics or by row": pools(lambda z: z - z.mean(0)),
        r"smallest input that fails: rows=\[4\]": pools(lambda z: z.cumsum(0)),
    },
    "test_two_rows_train": {"taps of 2 rows": pools(lambda z: z / (len(z) - 2))},
    "test_bf16_stays_finite": {
        "taps under bf16": Half,
        "gradients under bf16": pools(lambda z: (z - z).sqrt()),
        "must run under bf16": before(Net, "forward", summed),
    },
    "test_weights_are_a_function_of_the_seed": {"one seed gave two networks": Numpy},
    "test_its_state_is_saved_and_loaded": {
        "through safetensors": Tied,
        "after load_state_dict": but(Net, load_state_dict=lambda *a, **k: None),
    },
    "test_copies_are_their_own": {
        "must be deep-copied": Secret,
        "parameters of its own": but(Net, __deepcopy__=lambda self, memo: copy.copy(self)),
        "must be picklable": Sealed,
    },
}

PAIRS: dict[str, dict[str, type]] = {
    "test_it_is_a_loss": {"must be a PairLoss, SetLoss or HeadLoss": Plain},
    "test_value_and_gradient_are_finite": {
        "the loss of random rows": pairs(lambda acc: (acc["far"] * 1e39, acc["count"] > 0)),
    },
    "test_tiles_give_what_dense_gives": {
        "tiles must give": after(
            Cosine,
            "parts",
            lambda self, made, logits, pairs, seen: {**made, "far": ("sum", logits.softmax(1), pairs.pos)},
        ),
        "must work in tiles": before(Cosine, "parts", lambda self, logits, pairs, seen: logits[:, 3]),
    },
    "test_few_rows_are_enough": {
        "without a positive": pairs(lambda acc: (acc["far"] / acc["count"], acc["count"] >= 0)),
        "has no loss": pairs(lambda acc: (acc["far"] + 1, acc["count"] >= 0)),
    },
}

SETS: dict[str, dict[str, type]] = {
    "test_it_is_a_loss": {"a method must take the loss": but(VICReg, tables=0)},
    "test_value_and_gradient_are_finite": {
        "the gradient of equal rows": sets(lambda a, b: a.var(0).sqrt().sum() + b.sum()),
        "one number": sets(lambda a, b: a - b),
    },
    "test_the_gradient_is_that_of_the_value": {"where the value rises by": sets(lambda a, b: (a * b.detach()).sum())},
    "test_the_order_of_rows_does_not_matter": {"order of its rows": sets(lambda a, b: (a * b).cumsum(0).sum())},
    "test_few_rows_are_enough": {"two samples": sets(lambda a, b: (a - b).square().sum() / (len(a) - 2))},
}

HEADS: dict[str, dict[str, type]] = {
    "test_value_and_gradient_are_finite": {"detach nothing": heads(lambda layer, z, batch: layer(z).detach().mean())},
    "test_no_rows_are_a_finite_zero": {
        "a mean over none": heads(lambda layer, z, batch: layer(z).square().mean()),
        "in the graph": heads(lambda layer, z, batch: z.sum() + (layer.weight.sum() if len(batch) else 0)),
        "must accept 0 rows": heads(lambda layer, z, batch: z.amax()),
    },
    "test_tables_and_batch_stay_as_they_are": {
        "write into its rows": heads(lambda layer, z, batch: layer(z.data.mul_(2)).sum()),
        "or its batch": heads(lambda layer, z, batch: layer(z).sum() + batch.sample.add_(1).sum()),
    },
}

BROKEN = {NetContract: ENCODERS, CosineContract: PAIRS, SetContract: SETS, HeadLossContract: HEADS}
