"""A classifier trained on the labels of some families: a network with a linear layer, from given weights or from fresh ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

LR, DECAY = 2e-3, 1e-4
Augment = Callable[[Tensor, torch.Generator], Tensor]


def some_families(families: NDArray[np.int_], share: float, seed: int) -> NDArray[np.int_]:
    """Rows, in order, of families drawn at random until they hold ``share`` of all rows; all rows where that is 1."""
    drawn = np.random.default_rng(seed).permutation(np.unique(families))
    place = np.empty(families.max() + 1, int)
    place[drawn] = np.arange(len(drawn))
    by_family = np.argsort(place[families], kind="stable")
    last = families[by_family[round(share * len(families)) - 1]]
    return np.flatnonzero(place[families] <= place[last])


def fit(
    encoder: nn.Module,
    width: int,
    clouds: Tensor,
    codes: Tensor,
    augment: Augment,
    steps: int,
    seed: int,
    classes: int,
    batch: int = 128,
) -> nn.Linear:
    """Train ``encoder`` and a new linear layer, ``width`` to ``classes``, on ``clouds`` (n, N, 3) of ``codes`` (n,): cross-entropy.

    AdamW with a cosine to zero, ``steps`` of ``batch`` rows, each row seen as ``augment`` shows it. The encoder's weights change.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    layer = nn.Linear(width, classes)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *layer.parameters()], lr=LR, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    encoder.train()
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(len(clouds), generator=generator)])
        rows, order = order[:batch], order[batch:]
        loss = F.cross_entropy(layer(encoder(augment(clouds[rows], generator))["pooled"]), codes[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    encoder.eval()
    return layer


@torch.no_grad()
def predict(encoder: nn.Module, layer: nn.Linear, clouds: Tensor) -> Tensor:
    """The class (n,) of each of ``clouds`` (n, N, 3), which are as evaluation shows them."""
    return torch.cat([layer(encoder(part)["pooled"]).argmax(dim=1) for part in clouds.split(256)])
