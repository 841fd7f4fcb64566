"""Losses over whole tables, joined on the sample: no pairs, no negatives."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.types import Rows


class SetLoss(ABC):
    """Base of losses over ``tables`` whole tables: gets global rows, row n of each table of the same sample."""

    tables = 2

    @abstractmethod
    def __call__(self, *tables: Rows) -> Tensor:
        """A scalar."""


def _off_diagonal(m: Tensor) -> Tensor:
    return m.masked_select(~torch.eye(len(m), dtype=torch.bool, device=m.device))


class BarlowTwins(SetLoss):
    """``sum (1 - C_ii)^2 + lambda sum C_ij^2`` of the two tables' cross-correlation (Zbontar et al. 2021, eq. 1).

    Args:
        off_diagonal: lambda.
        scale: factor on the whole, 1 in the paper.
        eps: added to the variance, as BatchNorm does in the authors' code.
    """

    def __init__(self, off_diagonal: float = 0.0051, scale: float = 1.0, eps: float = 1e-5) -> None:
        self.off_diagonal, self.scale, self.eps = off_diagonal, scale, eps

    def __call__(self, *tables: Rows) -> Tensor:
        """Two tables of (N, D) each."""
        a, b = (self._standard(t.z) for t in tables)
        c = a.T @ b / len(a)
        return self.scale * ((1 - c.diagonal()).square().sum() + self.off_diagonal * _off_diagonal(c).square().sum())

    def _standard(self, z: Tensor) -> Tensor:
        return (z - z.mean(0)) / (z.var(0, unbiased=False) + self.eps).sqrt()


class VICReg(SetLoss):
    """Invariance, variance and covariance of two tables (Bardes et al. 2022, eq. 6; scaled as the authors' code does)."""

    def __init__(self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> None:
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def __call__(self, *tables: Rows) -> Tensor:
        """Two tables of (N, D) each."""
        a, b = (t.z for t in tables)
        spread = [F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean() for z in (a, b)]
        among = [_off_diagonal(torch.cov(z.T)).square().sum() / z.shape[1] for z in (a, b)]
        return (
            self.invariance * F.mse_loss(a, b)
            + self.variance * (spread[0] + spread[1]) / 2
            + self.covariance * (among[0] + among[1])
        )


class NuclearNorm(SetLoss):
    """Minus the sum of a table's singular values: over the means of each sample's unit views this is MMCR's objective.

    Yerxa et al. 2023, eq. 3 with lambda 0, as the authors' code has it: one number for the batch, which grows with it.
    """

    tables = 1

    def __call__(self, *tables: Rows) -> Tensor:
        """One table of (N, D)."""
        return -torch.linalg.matrix_norm(tables[0].z, "nuc")


class SquaredLength(SetLoss):
    """The mean squared length of a table's vectors: holds small what a term doesn't normalise (Sohn 2016, section 3.2.2)."""

    tables = 1

    def __call__(self, *tables: Rows) -> Tensor:
        """One table of (N, D)."""
        return tables[0].z.square().sum(-1).mean()
