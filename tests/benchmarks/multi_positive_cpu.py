"""``multi_positive_cpu``: SupCon with many positives an anchor, forward and backward, against pytorch-metric-learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.benchmarks.bench import Bench, peer
from tests.benchmarks.compare import compare, engines
from tests.benchmarks.embeddings import loss_of
from tests.benchmarks.table import Row

TAU, CLASSES = 0.1, 10
METHOD = {
    "branches": {"online": {"views": "*"}},
    "terms": {
        "supcon": {
            "query": "online",
            "keys": ["online"],
            "positives": "same(label) and not self",
            "denominator": "not self",
            "tau": TAU,
        }
    },
}


def labels_of(count: int) -> Tensor:
    """(count,) each class as often."""
    return torch.arange(count) % CLASSES


def reference(inputs: Sequence[Tensor]) -> Tensor:
    """SupCon's L_out (Khosla et al. 2020, equation 2)."""
    z = F.normalize(torch.cat(list(inputs)), dim=1)
    labels = labels_of(len(inputs[0])).repeat(2)
    logits = (z @ z.T / TAU).fill_diagonal_(-torch.inf)
    positive = (labels[:, None] == labels).fill_diagonal_(False)
    log_share = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(~positive, 0.0)
    return -(log_share.sum(1) / positive.sum(1)).mean()


def measure(bench: Bench) -> Iterator[Row]:
    """2048 samples in two views of 128 dimensions, 10 classes."""
    count, dim = bench.pick((2048, 128), (64, 16))
    rows = 2 * count
    floor = bench.ceilings.floor(flops=2 * 2 * rows**2 * dim, exps=rows**2)  # as NT-Xent's
    made = peer("pytorch_metric_learning.losses", "SupConLoss", "pytorch-metric-learning")
    theirs = made(temperature=TAU) if made else None
    labels = labels_of(count)
    yield compare(
        bench,
        name="multi_positive_cpu",
        workload=f"SupCon, forward and backward, {count} samples x 2, D={dim}, {CLASSES} classes, fp32",
        ours={e: loss_of(METHOD, ["a/0", "a/1"], dim, e, {"label": labels}) for e in engines(bench, 48)},
        reference=reference,
        peer=None if theirs is None else lambda inputs: theirs(torch.cat(list(inputs)), labels.repeat(2)),
        peer_package="pytorch-metric-learning",
        shapes=[(count, dim)] * 2,
        floor=floor,
        targets={"to_peer": 1 / 3},
    )
