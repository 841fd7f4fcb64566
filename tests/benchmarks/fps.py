"""``fps`` and ``fps_loop``: farthest point sampling of a batch, against fpsample and against the loop that one writes by hand."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tests.benchmarks.bench import Bench, NotMeasured, peer
from tests.benchmarks.harness import GateError, Side, alternate, median_ratio, medians, versions
from tests.benchmarks.table import Row

BUCKETS = "bucket_fps_kdline_sampling"


def loop(x: Tensor, m: int) -> Tensor:
    """The usual loop of plain torch: (n, P, 3) to (n, m)."""
    rows = torch.arange(len(x), device=x.device)
    nearest = x.new_full(x.shape[:2], torch.inf)
    chosen = torch.zeros(len(x), m, dtype=torch.long, device=x.device)
    for i in range(1, m):
        here = x[rows, chosen[:, i - 1]].unsqueeze(1)
        nearest = torch.minimum(nearest, ((x - here) ** 2).sum(dim=-1))
        chosen[:, i] = nearest.argmax(dim=-1)
    return chosen


def gate(x: Tensor, chosen: Tensor) -> None:
    """Raise ``GateError`` unless each choice is the farthest point from those before it, to a part in 10^5, in float64."""
    x = x.double()
    rows = torch.arange(len(x), device=x.device)
    nearest = torch.full_like(x[..., 0], torch.inf)
    worst = 0.0
    for before, index in zip(chosen.T[:-1], chosen.T[1:], strict=True):
        nearest = torch.minimum(nearest, (x - x[rows, before].unsqueeze(1)).square().sum(dim=-1))
        worst = max(worst, float((1 - nearest[rows, index] / nearest.amax(dim=1)).max()))
    if not worst <= 1e-5:
        raise GateError(f"a choice is {worst:.1e} nearer than the farthest point: not timed")


def measure(bench: Bench) -> Iterator[Row]:
    """64 clouds of 2048 normal points, 512 of each, from the first point on."""
    try:
        from contrapose_pointcloud.sampling import farthest
    except ImportError as why:
        raise NotMeasured(f"contrapose-pointcloud is not installed ({why})") from why
    n, size, m = bench.pick((64, 2048, 512), (2, 256, 32))
    x = torch.randn(n, size, 3, generator=bench.generator())
    gate(x, farthest(x, m))
    sides: dict[str, Side] = {"ours": lambda: farthest(x, m), "loop": lambda: loop(x, m)}
    plain, bucketed = (peer("fpsample", name, "fpsample") for name in ("fps_sampling", BUCKETS))
    clouds = list(x.numpy())
    if plain and bucketed:
        sides["fpsample"] = lambda: [plain(cloud, m, start_idx=0) for cloud in clouds]
        sides["buckets"] = lambda: [bucketed(cloud, m, h=3, start_idx=0) for cloud in clouds]
    rounds = bench.pick(7, 2)
    times = alternate(sides, rounds)
    median = medians(times)
    notes = f"its `{BUCKETS}`, h=3: {median_ratio(times['ours'], times['buckets']):.3g}" if "buckets" in times else ""
    found = versions("contrapose-pointcloud", "fpsample")
    peers = {
        "fps": ("fpsample", f"fpsample {found.get('fpsample', '')}".strip(), 1.0, notes),
        "fps_loop": ("loop", "the same in plain torch", 1 / 8, ""),
    }
    for name, (side, peer_name, target, note) in peers.items():
        yield Row(
            name=name,
            workload=f"{m} farthest points of {size}, {n} clouds",
            ours=median["ours"],
            peer_name=peer_name,
            peer=median.get(side),
            to_peer=median_ratio(times["ours"], times[side]) if side in times else None,
            rounds=rounds,
            targets={"to_peer": target},
            versions=found,
            notes=note,
        )
