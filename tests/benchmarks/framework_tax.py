"""``framework_tax``: a step of a run against the same step written by hand in plain torch.

Ours is the engine's own loop, ``fit``, with its logs and its deterministic mode. It is timed from asking for a batch to asking for
the next one; in between, while the engine waits, the hand-written step runs. So both alternate step by step on one machine.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from contrapose import Batch, Config, Method, Sample
from contrapose.branches.heads import MLP
from contrapose.engine.build import Parts
from contrapose.engine.device import accelerator_for
from contrapose.engine.train import Feed, fit
from tests.benchmarks.bench import Bench, NotMeasured
from tests.benchmarks.harness import GateError, median_ratio, medians, versions
from tests.benchmarks.table import Row

TAU = 0.1
WARMUP = 2


class Noise:
    """Random uint8 pictures (32, 32, 3) in memory, as a reader."""

    def __init__(self, count: int) -> None:
        self.pictures = np.random.default_rng().integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> Sample:
        return Sample(i, {"image": self.pictures[i]})


class TwoViews(Dataset[tuple[Tensor, Tensor]]):
    """What one writes by hand: two augmentations of a picture."""

    def __init__(self, pictures: np.ndarray, augment: Any) -> None:
        self.pictures, self.augment, self.rng = pictures, augment, np.random.default_rng()

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.augment(self.pictures[i], self.rng, size=32), self.augment(self.pictures[i], self.rng, size=32)


def nt_xent(za: Tensor, zb: Tensor) -> Tensor:
    """SimCLR's loss as one writes it."""
    z = F.normalize(torch.cat([za, zb]), dim=1)
    logits = (z @ z.T / TAU).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(za)))


class ByHand:
    """The same encoder, head, optimiser and views in a plain loop."""

    def __init__(self, method: Method, pictures: np.ndarray, augment: Any, batch: int) -> None:
        self.encoder, self.head = (copy.deepcopy(part) for part in _parts(method))
        self.optimizer = torch.optim.AdamW([*self.encoder.parameters(), *self.head.parameters()], lr=1e-3)
        self.loader = iter(DataLoader(TwoViews(pictures, augment), batch_size=batch, shuffle=True, drop_last=True))

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        """Of two batches of views."""
        za, zb = self.head(self.encoder(torch.cat([a, b]))["pooled"]).chunk(2)
        return nt_xent(za, zb)

    def step(self) -> None:
        """One step."""
        loss = self.loss(*next(self.loader))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def measure(bench: Bench) -> Iterator[Row]:
    """ResNet-18 with the small stem, 16 pictures of 32 pixels a step, random data."""
    try:
        from contrapose_image.views import simclr_cifar
    except ImportError as why:
        raise NotMeasured(f"contrapose-image is not installed ({why})") from why
    batch, steps = bench.pick(16, 4), bench.pick(16, 3) + WARMUP
    reader = Noise(batch * (steps + 2))
    config = Config.of(
        {
            "data": reader,
            "views": {"image": {"use": "image/simclr-cifar", "size": 32}},
            "encoders": {"image": {"use": "image/resnet18", "stem": "cifar"}},
            "method": "simclr",
            "train": {"steps": steps, "batch_size": batch, "device": "cpu", "checkpoint_every": 10**6},
        }
    )
    parts = Parts(config)
    method, loader = parts.make_method(), parts.train_loader()
    hand = ByHand(method, reader.pictures, simclr_cifar, batch)
    error = _same(method, hand, next(iter(loader)))
    times: dict[str, list[float]] = {"ours": [], "hand": []}

    def batches(epoch: int, start: int) -> Iterator[Batch]:
        loader.set_epoch(epoch, start)
        feed = iter(loader)
        while True:
            began = time.perf_counter()
            found = next(feed, None)
            if found is None:
                return
            yield found
            times["ours"].append(time.perf_counter() - began)
            times["hand"].append(_plain(hand))

    with tempfile.TemporaryDirectory() as folder:
        accelerator = accelerator_for(config.run.train)
        feed = Feed(batches, len(loader), embed=lambda ref: _never())
        fit(method, feed, config.run.train, Path(folder), accelerator, Console(quiet=True), identity={}, quiet=True)
    times = {name: values[WARMUP:] for name, values in times.items()}
    median = medians(times)
    yield Row(
        name="framework_tax",
        workload=f"SimCLR step: ResNet-18 (CIFAR stem), {batch} pictures of 32 px, fp32",
        ours=median["ours"],
        peer_name="the same by hand, plain torch",
        peer=median["hand"],
        to_peer=median_ratio(times["ours"], times["hand"]),
        gradient_error=error,
        rounds=len(times["ours"]),
        targets={"to_peer": 1.05},
        versions=versions("contrapose-image", "torchvision"),
    )


def _plain(hand: ByHand) -> float:
    """Seconds of a hand-written step, outside the engine's deterministic mode."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    began = time.perf_counter()
    hand.step()
    took = time.perf_counter() - began
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    return took


def _same(method: Method, hand: ByHand, batch: Batch) -> float:
    """The relative difference of both sides' loss and gradients on one batch. Raises ``GateError`` where they aren't one step."""
    ours, theirs = copy.deepcopy(method).train(), copy.deepcopy((hand.encoder, hand.head))
    out = ours.loss(batch)
    out.loss.backward()
    loss = hand.loss(batch.views["image/a"].data, batch.views["image/b"].data)
    loss.backward()
    pairs = zip(_gradients(_parts(ours)[0]), _gradients(hand.encoder), strict=True)
    errors = [float((g - h).abs().max() / h.abs().max().clamp_min(1e-6)) for g, h in pairs]
    worst = max(abs(float(out.loss.detach() - loss.detach())), *errors)
    hand.optimizer.zero_grad(set_to_none=True)
    hand.encoder.load_state_dict(theirs[0].state_dict())
    hand.head.load_state_dict(theirs[1].state_dict())
    if not worst <= 1e-3:
        raise GateError(f"the step by hand differs by {worst:.1e}: not timed")
    return worst


def _parts(method: Method) -> tuple[nn.Module, nn.Module]:
    """The method's encoder and its only head."""
    (head,) = (m for m in method.modules() if isinstance(m, MLP))
    return method.encoders["image"], head


def _gradients(module: nn.Module) -> list[Tensor]:
    return [p.grad for p in module.parameters() if p.grad is not None]


def _never() -> Any:
    raise AssertionError("SimCLR embeds nothing between epochs")
