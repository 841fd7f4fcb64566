"""``moco_queue``: MoCo's loss over a long queue, forward and backward, against the same in plain torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.benchmarks.bench import Bench
from tests.benchmarks.compare import compare, engines
from tests.benchmarks.embeddings import loss_of
from tests.benchmarks.harness import LossOf
from tests.benchmarks.table import Row

TAU = 0.2
METHOD = {
    "branches": {"online": {"views": "a/*"}, "key": {"views": "b/*"}, "queue": {"views": "c/*"}},
    "terms": {
        "info_nce": {
            "query": "online",
            "keys": ["key", "queue"],
            "positives": "same(sample) and origin(key)",
            "denominator": "positive or origin(queue)",
            "tau": TAU,
        }
    },
}


def reference(queue: Tensor) -> LossOf:
    """MoCo's algorithm 1 (He et al. 2020), by this queue (K, D), which has no gradient."""

    def loss(inputs: Sequence[Tensor]) -> Tensor:
        q, k = (F.normalize(x, dim=1) for x in inputs)
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ F.normalize(queue.to(q.dtype), dim=1).T], 1) / TAU
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.int64, device=q.device))

    return loss


def measure(bench: Bench) -> Iterator[Row]:
    """4096 queries against 65536 keys of 256 dimensions."""
    (queries, many), dim = bench.pick(((4096, 65536), 256), ((64, 320), 16))
    queue = torch.randn(many, dim, generator=bench.generator(), device=bench.device)
    # A product forward, the same again in the backward pass, and one for the queries' gradient.
    floor = bench.ceilings.floor(flops=3 * 2 * queries * many * dim, exps=2 * queries * many)

    def ours(loss: LossOf) -> LossOf:
        return lambda inputs: loss([*inputs, queue])

    yield compare(
        bench,
        name="moco_queue",
        workload=f"InfoNCE, forward and backward, {queries} queries, a queue of {many}, D={dim}, fp32",
        ours={e: ours(loss_of(METHOD, ["a/0", "b/0", "c/0"], dim, e)) for e in engines(bench, 96)},
        reference=reference(queue),
        peer=reference(queue),
        peer_package="torch",
        shapes=[(queries, dim)] * 2,
        floor=floor,
        targets={"to_floor": 1.7},
    )
