"""Methods of tables: SAINT and SubTab, on numbers and codes apart."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from .basics import unit


def saint(
    clean: Tensor,
    mixed: Tensor,
    numbers: Tensor,
    numeric: Tensor,
    choices: Sequence[Tensor],
    codes: Tensor,
    tau: float = 0.7,
    lam0: float = 0.5,
    lam2: float = 1.0,
    lam3: float = 10.0,
) -> Tensor:
    """SAINT's pretraining loss (Somepalli et al. 2021, arXiv 2106.01342; somepago/saint, pretraining.py).

    clean, mixed (B, D) raw projections, never normalised; numbers (B, F) predicted for numeric (B, F); choices: logits (B,
    K_c) for each column of codes (B, C).
    """
    logits = clean @ mixed.T / tau
    there = torch.stack([logits[i].logsumexp(0) - logits[i, i] for i in range(len(clean))]).mean()
    back = torch.stack([logits[:, i].logsumexp(0) - logits[i, i] for i in range(len(clean))]).mean()
    entropy = torch.zeros((), dtype=clean.dtype)
    for c, made in enumerate(choices):
        entropy = entropy + (made.logsumexp(1) - made[torch.arange(len(made)), codes[:, c]]).mean()
    return lam0 * (there + back) / 2 + lam2 * entropy + lam3 * ((numbers - numeric) ** 2).mean()


def subtab(z: Sequence[Tensor], recon: Sequence[Tensor], x: Tensor, tau: float = 0.1) -> Tensor:
    """SubTab's joint loss (Ucar et al. 2021, arXiv 2110.04361; AstraZeneca/SubTab, utils/loss_functions.py), averaged over pairs.

    z: each subset's projections (B, D); recon: each subset's reconstruction (B, F) of x (B, F).
    """
    losses = []
    for i, j in combinations(range(len(z)), 2):
        both = torch.cat([unit(z[i]), unit(z[j])])
        count = len(x)
        similarity = both @ both.T / tau
        contrast = torch.zeros((), dtype=x.dtype)
        for n in range(2 * count):
            partner = (n + count) % (2 * count)
            others = torch.cat([similarity[n, :n], similarity[n, n + 1 :]])
            contrast = contrast + others.logsumexp(0) - similarity[n, partner]
        made = torch.cat([recon[i], recon[j]])
        reconstruction = ((made - torch.cat([x, x])) ** 2).sum() / (2 * count)
        distance = ((unit(z[i]) - unit(z[j])) ** 2).sum() / count
        losses.append(reconstruction + contrast / (2 * count) + distance)
    return torch.stack(losses).mean()
