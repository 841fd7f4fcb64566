"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from contrapose.config import bind
from contrapose.errors import ConfigError, did_you_mean


def constant(progress: float, epoch: float) -> float:
    """Stays at 1."""
    return 1.0


def linear(progress: float, epoch: float, end: float = 0.0) -> float:
    """Falls evenly from 1 to ``end``."""
    return end + (1.0 - end) * (1.0 - progress)


def cosine(progress: float, epoch: float, end: float = 0.0) -> float:
    """Falls from 1 to ``end`` by half a cosine (Loshchilov & Hutter 2017, without restarts)."""
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * progress))


def steps(progress: float, epoch: float, at: list[float], factor: float = 0.1) -> float:
    """Is multiplied by ``factor`` at each of the epochs ``at``, counted from the run's beginning."""
    return factor ** sum(epoch >= e for e in at)


SCHEDULES: dict[str, Callable[..., float]] = {"constant": constant, "cosine": cosine, "linear": linear, "steps": steps}
"""From the progress after warm-up, in [0, 1], and the epochs done, to the factor of the base learning rate."""


def lr_factor(schedule: Any, step: int, *, steps_per_epoch: int, epochs: float, warmup: float = 0.0) -> float:
    """The factor of the base learning rate at ``step`` (0-based) of a run of ``epochs``.

    The first ``warmup`` epochs rise linearly from ``1 / warmup_steps`` to 1 (Goyal et al. 2017, section 2.2); what is left
    follows ``schedule``, a name or ``{use: steps, at: [120, 160]}``.

    Raises:
        ConfigError: the schedule, or an argument of it, is unknown.
    """
    path = ("train", "schedule")
    arguments = dict(schedule) if isinstance(schedule, Mapping) else {"use": schedule}
    name = arguments.pop("use", None)
    if name not in SCHEDULES:
        raise ConfigError(f"no schedule {name!r}{did_you_mean(str(name), SCHEDULES)}", path)
    warm = round(warmup * steps_per_epoch)
    total = round(epochs * steps_per_epoch)
    progress = min(1.0, (step - warm) / max(1, total - warm))
    now = {"progress": progress, "epoch": step / steps_per_epoch}
    bound = bind(SCHEDULES[name], arguments, path, f"the schedule {name!r}", now)
    return (step + 1) / warm if step < warm else SCHEDULES[name](**bound)
