"""Retrieval from one modality to another over a fixed gallery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

TIE = 1e-6
"""Cosines nearer than this are one: the same pair comes out of two float32 matrix products about 1e-7 apart."""


@dataclass(frozen=True)
class Ranks:
    """Where each query's best positive stands; every array is (queries,), ``gallery`` the number of candidates.

    ``ahead``: negatives that score higher. ``tied``: negatives that score the same. ``best``: positives that score the
    same, the best one included. ``positives``: all of them.

    Among equal scores any order is as likely, so a tie counts as its expectation: a model that embeds everything to one
    point scores exactly chance, neither 0 nor 1.
    """

    ahead: np.ndarray
    tied: np.ndarray
    best: np.ndarray
    positives: np.ndarray
    gallery: int

    def recall(self, k: int) -> np.ndarray:
        """R@k of each query: the probability that one of the first ``k`` candidates is a positive."""
        return _found(self.tied, self.best, k - self.ahead)

    def rank(self) -> np.ndarray:
        """The expected rank of each query's first positive, from 1."""
        return self.ahead + (self.tied + self.best + 1) / (self.best + 1)

    def chance(self, k: int) -> float:
        """R@k of random order: k / gallery where each query has one positive."""
        slots = np.full(len(self.positives), k)
        return float(_found(self.gallery - self.positives, self.positives, slots).mean())

    def chance_rank(self) -> float:
        """The median over queries of the first positive's expected rank in random order."""
        return float(np.median((self.gallery + 1) / (self.positives + 1)))


@torch.no_grad()
def ranks(queries: Tensor, gallery: Tensor, query_ids: np.ndarray, gallery_ids: np.ndarray, chunk: int = 1024) -> Ranks:
    """Rank ``gallery`` (m, D) by cosine for each of ``queries`` (n, D); a positive is a row with the query's sample id.

    ``query_ids`` (n,) and ``gallery_ids`` (m,) are int64. ``ValueError`` if a query has no positive.
    """
    bank = F.normalize(gallery.float(), dim=1)
    bank_ids = torch.as_tensor(gallery_ids, device=bank.device)
    ids = torch.as_tensor(query_ids, device=bank.device)
    counts = []
    for rows, own in zip(F.normalize(queries.float(), dim=1).split(chunk), ids.split(chunk), strict=True):
        similarity = rows @ bank.T
        positive = own[:, None] == bank_ids
        top = similarity.masked_fill(~positive, -torch.inf).amax(dim=1, keepdim=True)
        equal = (similarity - top).abs() <= TIE
        higher = (similarity > top) & ~equal
        parts = (higher, equal & ~positive, equal & positive, positive)
        counts.append(torch.stack([part.sum(dim=1) for part in parts]).cpu())
    ahead, tied, best, positives = torch.cat(counts, dim=1).numpy()
    if not positives.all():
        raise ValueError(f"{int((positives == 0).sum())} queries have no positive in the gallery")
    return Ranks(ahead, tied, best, positives, len(gallery))


def _found(negatives: np.ndarray, positives: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """The probability that ``slots`` draws without replacement meet a positive (1 - hypergeometric zero)."""
    missed = np.ones(len(positives))
    for draw in range(int(max(slots.max(initial=0), 0))):
        left = np.maximum(negatives - draw, 0)
        missed = np.where(draw < slots, missed * left / np.maximum(left + positives, 1), missed)
    return 1.0 - missed
