"""``clip_cpu`` and ``clip_65k``: the symmetric CLIP loss, forward and backward, against open_clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.benchmarks.bench import Bench, peer
from tests.benchmarks.compare import compare, engines
from tests.benchmarks.embeddings import loss_of
from tests.benchmarks.table import Row

SCALE = 100.0  # where CLIP's training ends, and where a loss without a running maximum overflows
METHOD = {
    "branches": {"left": {"views": "a/*"}, "right": {"views": "b/*"}},
    "terms": {
        "both_ways": {
            "query": ["left", "right"],
            "keys": ["left", "right"],
            "positives": "same(sample) and not same(origin)",
            "denominator": "not same(origin)",
            "tau": 1 / SCALE,
        }
    },
}


def reference(inputs: Sequence[Tensor]) -> Tensor:
    """CLIP's figure 3 (Radford et al. 2021) with the scale held."""
    left, right = (F.normalize(x, dim=1) for x in inputs)
    logits = SCALE * left @ right.T
    labels = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def measure(bench: Bench) -> Iterator[Row]:
    """8192 pairs of 512 dimensions on the CPU, 65536 on a GPU."""
    cuda = bench.device.type == "cuda"
    pairs, dim = bench.pick(65536 if cuda else 8192, 128), bench.pick(512, 16)
    # One product forward, the same again in the backward pass, one for either side's gradient.
    floor = bench.ceilings.floor(flops=4 * 2 * pairs**2 * dim, exps=2 * pairs**2)
    made = peer("open_clip.loss", "ClipLoss", "open_clip_torch")
    theirs = made() if made else None

    def open_clip(inputs: Sequence[Tensor]) -> Tensor:
        left, right = (F.normalize(x, dim=1) for x in inputs)
        return theirs(left, right, SCALE)  # type: ignore[misc]

    yield compare(
        bench,
        name="clip_65k" if cuda else "clip_cpu",
        workload=f"symmetric CLIP, forward and backward, {pairs} pairs, D={dim}, scale {SCALE:.0f}, fp32",
        ours={e: loss_of(METHOD, ["a/0", "b/0"], dim, e) for e in engines(bench, 96)},
        reference=reference,
        peer=None if theirs is None else open_clip,
        peer_package="open_clip_torch",
        shapes=[(pairs, dim)] * 2,
        floor=floor,
        targets={"to_floor": 1.8} if cuda else {"to_peer": 0.5, "memory_to_peer": 0.125, "gradient_error": 5e-3},
    )
