"""One row of a loss benchmark: gate, then time and memory of ours and the peer by turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from contrapose.losses.engine import Engine
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import (
    LossOf,
    alternate,
    exact,
    extra_peak,
    forward_backward,
    gate,
    median_ratio,
    medians,
    versions,
)
from tests.benchmarks.table import Row

TOLERANCE = 5e-4
"""Of fp32 against float64, relative to the largest gradient: CLIP's scale of 100 alone costs two digits."""


def compare(
    bench: Bench,
    *,
    name: str,
    workload: str,
    ours: Mapping[Engine, LossOf],
    reference: LossOf,
    peer: LossOf | None,
    peer_package: str,
    shapes: Sequence[tuple[int, int]],
    floor: float,
    targets: Mapping[str, float],
) -> Row:
    """Measure ours by each engine, and report the first; the others are noted.

    Every way passes the gate at full size on the CPU, on fresh random inputs. On a GPU, where the reference in float64 doesn't
    fit, the gate is at a sixteenth of the rows.
    """
    generator = bench.generator()

    def fresh(part: int = 1) -> list[torch.Tensor]:
        return [torch.randn(n // part, d, generator=generator, device=bench.device) for n, d in shapes]

    sample = fresh(16 if bench.device.type == "cuda" else 1)
    expected = exact(reference, sample)
    errors = {way: gate(side, sample, expected, TOLERANCE) for way, side in ours.items()}
    del expected, sample
    inputs = fresh()
    rounds = bench.pick(5, 2)
    ways = {str(way): forward_backward(side, inputs) for way, side in ours.items()}
    theirs = {} if peer is None else {"peer": forward_backward(peer, inputs)}
    times = alternate({**ways, **theirs}, rounds, device=bench.device)
    median = medians(times)
    first = next(iter(ours))
    found = versions(peer_package)
    return Row(
        name=name,
        workload=workload,
        ours=median[str(first)],
        peer_name=f"{peer_package} {found.get(peer_package, '')}".strip() if peer else "",
        peer=median.get("peer"),
        to_peer=median_ratio(times[str(first)], times["peer"]) if peer else None,
        floor=floor,
        memory=extra_peak(ways[str(first)], bench.device),
        peer_memory=extra_peak(theirs["peer"], bench.device) if peer else None,
        gradient_error=errors[first],
        rounds=rounds,
        targets=targets,
        versions=found,
        notes="; ".join(
            f"{_way(t)} {median[str(t)] / floor:.3g} of floor" for t in ours if t != first and not bench.quick
        ),
    )


def engines(bench: Bench, side: int) -> tuple[Engine, ...]:
    """What a run takes by itself, and Triton's on a GPU; all that there are, in tiles of ``side``, to see that they run."""
    fused = (Engine("triton"),) if bench.device.type == "cuda" else ()
    return bench.pick((Engine(),), (Engine("tiled", side), Engine("dense"))) + fused


def _way(engine: Engine) -> str:
    return engine.name if engine.tile is None else f"tiles of {engine.tile}"
