"""Learning-rate schedules: pure functions of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from contrapose.errors import ConfigError, did_you_mean


def _constant(_: float) -> float:
    return 1.0


def _linear(progress: float) -> float:
    return 1.0 - progress


def _cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES = {"constant": _constant, "cosine": _cosine, "linear": _linear}
"""From the progress after warm-up, in [0, 1], to the factor of the base learning rate."""


def lr_factor(schedule: str, step: int, *, steps_per_epoch: int, epochs: float, warmup: float = 0.0) -> float:
    """The factor of the base learning rate at ``step`` (0-based) of a run of ``epochs``.

    The first ``warmup`` epochs rise linearly from ``1 / warmup_steps`` to 1 (Goyal et al. 2017, section 2.2); what is left
    follows ``schedule``: cosine (Loshchilov & Hutter 2017, without restarts) and linear fall to 0, constant stays at 1.

    Raises:
        ConfigError: the schedule is unknown.
    """
    if schedule not in SCHEDULES:
        raise ConfigError(
            f"no schedule {schedule!r}{did_you_mean(str(schedule), SCHEDULES)}", path=("train", "schedule")
        )
    warm = round(warmup * steps_per_epoch)
    if step < warm:
        return (step + 1) / warm
    total = round(epochs * steps_per_epoch)
    progress = (step - warm) / max(1, total - warm)
    return SCHEDULES[schedule](min(1.0, progress))
