"""What several references share: unit rows and cross-entropy written out."""

import torch
from torch import Tensor


def unit(z: Tensor) -> Tensor:
    """Rows (last dimension) scaled to length 1."""
    return z / z.norm(dim=-1, keepdim=True)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over rows of -sum_j target_ij log softmax(logits_i)_j; target (n, k) soft, or (n,) integer classes."""
    log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    if target.dim() == 1:
        return -torch.stack([log_p[i, int(c)] for i, c in enumerate(target)]).mean()
    return -(target * log_p).sum(dim=1).mean()


def diagonal_nce(logits: Tensor) -> Tensor:
    """Cross-entropy of square (B, B) logits against their diagonal: `CE` of methods.md."""
    return (torch.logsumexp(logits, dim=1) - logits.diagonal()).mean()
