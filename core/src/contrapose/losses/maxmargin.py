"""The max-margin contrastive loss: what repels a sample are the support vectors that hold it apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose.losses.sets import SetLoss
from contrapose.types import Rows


class MaxMargin(SetLoss):
    r"""For each sample the support vector machine of its first view against the others', scored on its second view.

    .. math:: l_i = \sum_{j \ne i} \alpha_{ij} \big[ K(x_j, z_i) - K(x_i, z_i) \big]

    with unit vectors x and z, :math:`K(x, z) = \exp(-\|x - z\|^2 / \sigma)`, and :math:`\alpha_i`, a constant in the gradient,
    the machine's dual solution by inversion: MMCL_INV of Shah et al. 2022, section 3, and of the authors' code
    (anshulbshah/MMCL). The machines share one matrix, so all of them cost one inverse, O(N^3).

    Args:
        sigma: width of the kernel.
        ridge: added to the kernel's diagonal.
        bound: no weight is larger; None for no bound.
    """

    def __init__(self, sigma: float = 10.0, ridge: float = 0.1, bound: float | None = None) -> None:
        for name, value in (("sigma", sigma), ("ridge", ridge), ("bound", bound)):
            if value is not None and not value > 0:
                raise ConfigError(f"is positive, not {value}", (name,))
        self.sigma, self.ridge, self.bound = sigma, ridge, bound

    def __call__(self, *tables: Rows) -> Tensor:
        """Two tables of (N, D) each."""
        x, z = (F.normalize(t.z, dim=-1) for t in tables)
        weight = self._weights(x)
        kernel = self._kernel(z, x)
        return (weight * (kernel - kernel.diagonal()[:, None])).sum(1).mean()

    def _kernel(self, a: Tensor, b: Tensor) -> Tensor:
        return ((2 * a @ b.T - 2) / self.sigma).exp()

    @torch.no_grad()
    def _weights(self, x: Tensor) -> Tensor:
        r"""alpha (N, N), 0 on its diagonal: ``relu(Delta_i^-1 2)`` over the samples other than i.

        With k their kernels to i, :math:`\Delta_i = K + r I + 1 1' - k 1' - 1 k'`. From the inverse of K + r I over all samples
        follows what that over the others maps 1 and k to (``ones``, ``kernels``), and Woodbury's identity brings in the last
        three products.
        """
        kernel = self._kernel(x, x)
        inverse = torch.linalg.inv(kernel + self.ridge * torch.eye(len(x), dtype=x.dtype, device=x.device))
        own, total = inverse.diagonal()[:, None], inverse.sum(1)
        ones = total - total[:, None] * inverse / own
        kernels = (-inverse / own).fill_diagonal_(0)
        sums, cross = ones.sum(1, keepdim=True), kernels.sum(1, keepdim=True) - 1
        solved = (cross * ones - sums * kernels) / (sums * (self.ridge - 1 / own) - cross.square())
        return (2 * solved.fill_diagonal_(0)).clamp(0, self.bound)
