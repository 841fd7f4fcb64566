"""Stops a run at the first number that isn't finite, before a checkpoint can hold it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from contrapose.branches.heads import local
from contrapose.errors import ContraposeError
from contrapose.methods.gather import total, world_size

from .loggers import Row

ADVICE = "lower train.lr, set train.clip, or look at these samples; the last checkpoint, from before, is kept"


def require_finite_loss(row: Row, names: Iterable[str], samples: Tensor) -> None:
    """Raise ``ContraposeError`` if a loss of ``row`` among ``names`` isn't finite: its term, step, and ``samples`` (B,) int64."""
    wrong = [n for n in names if not math.isfinite(row[n])]
    if wrong:
        term = next((n.removeprefix("loss/") for n in wrong if n.startswith("loss/")), None)
        what = f"term {term!r} of the loss is" if term else "the loss is"
        raise ContraposeError(f"{what} {row[wrong[0]]} at step {row['step']}, samples {_listed(samples)}: {ADVICE}")


def require_finite_weights(method: nn.Module, step: int, samples: Tensor) -> None:
    """Raise ``ContraposeError`` if a parameter isn't finite after ``step``: a finite loss may have a gradient that isn't.

    All ranks must call it; what one finds in its part of the weights, all raise.
    """
    named = [*method.named_parameters()]
    wrong = total(torch.stack([~local(p).isfinite().all() for _, p in named]).int())
    for (name, _), found in zip(named, wrong.tolist(), strict=True):
        if found:
            raise ContraposeError(
                f"the weights {name} aren't finite after step {step}, though its loss is: a gradient overflowed, "
                f"samples {_listed(samples)}: {ADVICE}"
            )


def _listed(samples: Tensor) -> str:
    ids = samples.tolist()
    said = ", ".join(map(str, ids[:16])) + (f", … ({len(ids)} in all)" if len(ids) > 16 else "")
    # A loss compares the samples of all processes, and any of these may be the cause.
    return f"{said} of this process and those of {world_size() - 1} others" if world_size() > 1 else said
