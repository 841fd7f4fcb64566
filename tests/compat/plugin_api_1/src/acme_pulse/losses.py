"""A loss over pairs, and a loss with parameters of its own."""

import torch
from torch import nn

from contrapose.losses.head import HeadLoss
from contrapose.losses.pair import PairLoss


class Pull(PairLoss):
    """Minus the mean logit of the positives."""

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength

    def parts(self, logits, pairs, seen):
        return {"count": ("sum", None, pairs.pos), "near": ("sum", -self.strength * logits, pairs.pos)}

    def finish(self, acc, scale):
        has = acc["count"] > 0
        return acc["near"] / torch.where(has, acc["count"], 1.0), has


class Recall(HeadLoss):
    """Tell the embedding's own first number by a linear layer."""

    def setup(self, query, dim):
        self.query = query
        self.layer = nn.Linear(dim, 1)

    def forward(self, out, batch):
        rows = out.rows(self.query)
        wrong = (self.layer(rows.z)[:, 0] - rows.z[:, 0].detach()).square()
        return out.mean(wrong, torch.ones_like(wrong))
