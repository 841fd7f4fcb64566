"""What the machine can do at best, measured at the start of each benchmark run, and the floors that follow from it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from tests.benchmarks.harness import Side, synchronize


@dataclass(frozen=True)
class Ceilings:
    """Rates of one device: ``matmul`` FLOP/s in fp32 (CUDA: in bf16), ``copy`` bytes/s read and written, ``exp`` per second."""

    device: str
    matmul: float
    copy: float
    exp: float

    def floor(self, flops: float = 0.0, moved: float = 0.0, exps: float = 0.0) -> float:
        """Seconds that an ideal kernel needs: its products or its bytes, whichever is longer.

        On the CPU the same units compute exponentials, whose time is added; on CUDA they overlap with the products.
        """
        products = max(flops / self.matmul, moved / self.copy)
        return products + exps / self.exp if self.device == "cpu" else max(products, exps / self.exp)


def measure_ceilings(device: torch.device, quick: bool = False) -> Ceilings:
    """Best of several runs of a square product, a large copy and a large exponential."""
    cuda = device.type == "cuda"
    side = 8192 if cuda else (1024 if quick else 2048)
    count = 2**28 if cuda else (2**22 if quick else 2**25)
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16 if cuda else torch.float32)
    product = torch.empty_like(a)
    x = torch.randn(count, device=device)
    y = torch.empty_like(x)
    return Ceilings(
        device=device.type,
        matmul=2 * side**3 / _best(lambda: torch.mm(a, a, out=product), device),
        copy=2 * x.numel() * x.element_size() / _best(lambda: y.copy_(x), device),
        exp=_exp_rate(x, device),
    )


def _exp_rate(x: torch.Tensor, device: torch.device) -> float:
    """Exponentials per second. On the CPU in cache, as the tiles of a good kernel are, and by one thread times their number:

    so short a call of several threads mostly measures how long they wait for each other on a busy machine.
    """
    if device.type == "cuda":
        return x.numel() / _best(lambda: torch.exp(x), device)
    threads = torch.get_num_threads()
    small = x[: 2**16].clone()
    out = torch.empty_like(small)
    torch.set_num_threads(1)
    try:
        return threads * small.numel() / _best(lambda: torch.exp(small, out=out), device, times=100)
    finally:
        torch.set_num_threads(threads)


def _best(side: Side, device: torch.device, times: int = 15) -> float:
    best = float("inf")
    for _ in range(times + 1):
        synchronize(device)
        began = time.perf_counter()
        side()
        synchronize(device)
        best = min(best, time.perf_counter() - began)
    return best
