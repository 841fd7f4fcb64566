"""What of a method stands still, in words."""

from __future__ import annotations

from contrapose.methods.method import Method


def frozen_line(method: Method) -> str | None:
    """Which towers are frozen, and how many parameters are trained; None where no encoder is."""
    towers = method.towers
    if not towers.frozen:
        return None
    whole = {e for r in towers.routes.values() if r.projector and r.projector[1] in towers.still for e in r.encoders}
    named = [f"{e} (encoder{' and projector' if e in whole else ''})" for e in sorted(towers.frozen)]
    params = [*method.parameters()]
    trained = sum(p.numel() for p in params if p.requires_grad)
    return f"frozen: {', '.join(named)}; {trained:,} of {sum(p.numel() for p in params):,} parameters are trained"
