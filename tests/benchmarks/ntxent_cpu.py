"""``ntxent_cpu`` and ``ntxent_65k``: SimCLR's loss, forward and backward, against lightly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.benchmarks.bench import Bench, peer
from tests.benchmarks.compare import compare, engines
from tests.benchmarks.embeddings import loss_of
from tests.benchmarks.table import Row

TAU = 0.1
METHOD = {
    "branches": {"online": {"views": "*"}},
    "terms": {
        "nt_xent": {
            "query": "online",
            "keys": ["online"],
            "positives": "same(sample) and not self",
            "denominator": "not self",
            "tau": TAU,
        }
    },
}


def reference(inputs: Sequence[Tensor]) -> Tensor:
    """NT-Xent as its paper writes it (Chen et al. 2020, equation 1)."""
    z = F.normalize(torch.cat(list(inputs)), dim=1)
    n = len(inputs[0])
    logits = (z @ z.T / TAU).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(2 * n, device=z.device).roll(n))


def measure(bench: Bench) -> Iterator[Row]:
    """4096 pairs of 128 dimensions on the CPU, 32768 of 512 on a GPU."""
    cuda = bench.device.type == "cuda"
    pairs = bench.pick(32768 if cuda else 4096, 128)
    dim = bench.pick(512 if cuda else 128, 16)
    rows = 2 * pairs
    # The similarities are symmetric: a triangle of them forward, the same again in the backward pass, and two half products
    # for the gradient make two whole products; each exponential is needed once forward and once backward.
    floor = bench.ceilings.floor(flops=2 * 2 * rows**2 * dim, exps=rows**2)
    made = peer("lightly.loss", "NTXentLoss", "lightly")
    theirs = made(temperature=TAU) if made else None
    yield compare(
        bench,
        name="ntxent_65k" if cuda else "ntxent_cpu",
        workload=f"NT-Xent, forward and backward, {pairs} pairs, D={dim}, fp32",
        ours={e: loss_of(METHOD, ["a/0", "a/1"], dim, e) for e in engines(bench, 96)},
        reference=reference,
        peer=None if theirs is None else lambda inputs: theirs(*inputs),
        peer_package="lightly",
        shapes=[(pairs, dim)] * 2,
        floor=floor,
        targets={"to_floor": 1.44} if cuda else {"to_peer": 0.1, "memory_to_peer": 0.05, "to_floor": 1.3},
    )
