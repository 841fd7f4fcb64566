"""``siglip_mem``: the sigmoid loss, forward and backward, in tiles of several sizes, against open_clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.losses.engine import Engine
from tests.benchmarks.bench import Bench, peer
from tests.benchmarks.compare import compare
from tests.benchmarks.embeddings import loss_of
from tests.benchmarks.table import Row

SCALE, BIAS = 10.0, -10.0
METHOD = {
    "branches": {"left": {"views": "a/*"}, "right": {"views": "b/*"}},
    "terms": {
        "sigmoid": {
            "query": "left",
            "keys": ["right"],
            "positives": "same(sample)",
            "denominator": "all",
            "loss": "sigmoid",
            "tau": 1 / SCALE,
            "bias": BIAS,
        }
    },
}


def reference(inputs: Sequence[Tensor]) -> Tensor:
    """SigLIP's algorithm 1 (Zhai et al. 2023) with scale and bias held."""
    left, right = (F.normalize(x, dim=1) for x in inputs)
    signs = 2 * torch.eye(len(left), dtype=left.dtype, device=left.device) - 1
    return -F.logsigmoid(signs * (SCALE * left @ right.T + BIAS)).sum() / len(left)


def measure(bench: Bench) -> Iterator[Row]:
    """4096 pairs of 256 dimensions."""
    pairs, dim = bench.pick((4096, 256), (128, 16))
    # One product forward, the same again in the backward pass, one for either side's gradient; and an exponential each time.
    floor = bench.ceilings.floor(flops=4 * 2 * pairs**2 * dim, exps=2 * pairs**2)
    made = peer("open_clip.loss", "SigLipLoss", "open_clip_torch")
    theirs = made() if made else None

    def open_clip(inputs: Sequence[Tensor]) -> Tensor:
        left, right = (F.normalize(x, dim=1) for x in inputs)
        return theirs(left, right, SCALE, BIAS)  # type: ignore[misc]

    engines = [Engine("tiled", side) for side in bench.pick((512, 256, 1024), (48, 64))]
    yield compare(
        bench,
        name="siglip_mem",
        workload=f"sigmoid loss, forward and backward, {pairs} pairs, D={dim}, fp32",
        ours={e: loss_of(METHOD, ["a/0", "b/0"], dim, e) for e in engines},
        reference=reference,
        peer=None if theirs is None else open_clip,
        peer_package="open_clip_torch",
        shapes=[(pairs, dim)] * 2,
        floor=floor,
        targets={"memory_to_peer": 0.125},
    )
