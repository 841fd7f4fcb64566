"""Presets made small, on the toy modality of `tests.algebra`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from contrapose import Method, registry
from tests.algebra import HEAD, Case, Step, batch, merge


def method_of(
    name: str, views: tuple[str, ...], *args: Any, changes: dict[str, Any] | None = None, **kwargs: Any
) -> Method:
    """A preset's method, with small heads."""
    found = registry().load("method", name)
    data = found(*args, **kwargs) if callable(found) else found
    small = {b: {"projector": HEAD} for b in ("online",) if b in data["branches"]}
    data = merge(merge(data, {"branches": small}), changes or {})
    return Case(lambda: data, views, lambda step: torch.zeros(())).method()


def second(method: Method, views: tuple[str, ...], count: int = 7) -> tuple[Step, Tensor]:
    """The method after a committed step, with the next batch, and its loss there."""
    method.loss(batch(views, count, 0))
    method.advance()
    data = batch(views, count, 1)
    return Step(method, data, method.encode(data)), method.loss(data).loss
