"""BatchNorm's running statistics without training: so that an untrained network is a fair thing to compare with."""

from __future__ import annotations

from itertools import islice

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from contrapose.data import Loader
from contrapose.methods.method import Method

BATCHES = 16


def calibrate(method: Method, loader: Loader) -> None:
    """Set every BatchNorm's statistics to their plain mean over the first ``BATCHES`` training batches; no weight moves.

    ``loader`` gives batches on the method's device.
    """
    method.train()
    norms = [m for m in method.modules() if isinstance(m, _BatchNorm) and m.training]  # not those of frozen encoders
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # a cumulative mean
    with torch.no_grad():
        for batch in islice(loader, BATCHES):
            method.encode(batch)
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
