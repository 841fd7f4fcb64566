"""``clip_max_b``: the largest batch whose symmetric CLIP loss, exact, forward and backward, one card holds."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from contrapose.losses.engine import Engine
from tests.benchmarks.bench import Bench, NotMeasured
from tests.benchmarks.clip_cpu import METHOD, SCALE, reference
from tests.benchmarks.compare import TOLERANCE, engines
from tests.benchmarks.embeddings import loss_of
from tests.benchmarks.harness import LossOf, alternate, exact, extra_peak, forward_backward, gate, versions
from tests.benchmarks.table import Row

WANTED = 2**20


def measure(bench: Bench) -> Iterator[Row]:
    """Batches of 65536 pairs of 512 dimensions, doubled until one doesn't fit or there are a million."""
    dim, first, last = bench.pick((512, 2**16, WANTED), (16, 64, 128))
    generator = bench.generator()

    def fresh(pairs: int) -> list[torch.Tensor]:
        return [torch.randn(pairs, dim, generator=generator, device=bench.device) for _ in range(2)]

    def largest(loss: LossOf) -> tuple[int, float, int]:
        """Pairs, seconds and bytes."""
        held = (0, 0.0, 0)
        pairs = first
        while pairs <= last:
            try:
                side = forward_backward(loss, fresh(pairs))
                peak = extra_peak(side, bench.device)
                held = pairs, alternate({"it": side}, rounds=1, warmup=0, device=bench.device)["it"][0], peak
            except torch.OutOfMemoryError:
                break
            pairs *= 2
        return held

    sample = fresh(first // 16)
    expected = exact(reference, sample)
    found: dict[Engine, tuple[int, float, int]] = {}
    errors = []
    for engine in engines(bench, 96):
        loss = loss_of(METHOD, ["a/0", "b/0"], dim, engine)
        errors.append(gate(loss, sample, expected, TOLERANCE))
        found[engine] = largest(loss)
    (pairs, seconds, peak), *others = found.values()
    if not pairs:
        raise NotMeasured(f"{first} pairs don't fit")
    notes = [f"{WANTED:,} pairs: {'met' if pairs >= WANTED else '**missed**'}"]
    notes += [f"{e.name}: {n:,} in {s:.3g} s" for e, (n, s, _) in zip([*found][1:], others, strict=True)]
    yield Row(
        name="clip_max_b",
        workload=f"symmetric CLIP, forward and backward, D={dim}, scale {SCALE:.0f}, fp32: {pairs:,} pairs in {seconds:.3g} s",
        ours=seconds,
        floor=bench.ceilings.floor(flops=4 * 2 * pairs**2 * dim, exps=2 * pairs**2),
        memory=peak,
        gradient_error=errors[0],
        rounds=1,
        versions=versions(),
        notes="; ".join(notes),
    )
