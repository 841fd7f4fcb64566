"""Where a checkpoint was made: what may differ when a run goes on elsewhere, and what that changes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

    from contrapose.config.schema import TrainConfig


def origin(accelerator: Accelerator, train: TrainConfig) -> dict[str, Any]:
    """Processes, device, threads, chunks and versions of this run, JSON-able: a part of ``state.json``."""
    return {
        "processes": accelerator.num_processes,
        "device": accelerator.device.type,
        "threads": train.threads or torch.get_num_threads(),
        "chunk_size": train.chunk_size,
        "versions": {name: version(name) for name in ("contrapose", "torch")},
    }


def changes(saved: Mapping[str, Any], now: Mapping[str, Any], stream: bool = False) -> list[str]:
    """One line for each thing by which ``now`` isn't where a checkpoint was made; none where ``saved`` doesn't say.

    Of a ``stream`` other processes see other samples, which its loader tells.
    """
    old, new = _said(saved), _said(now)
    effects = {key: text for key, text in _EFFECTS.items() if not (stream and key == "processes")}
    return [
        f"saved {old[key]}, going on {new[key]}: {effects.get(key, 'the bits may differ')}"
        for key in new
        if key in old and old[key] != new[key]
    ]


_EFFECTS = {
    "processes": "the same samples in the same batches; dropout and batched views are drawn anew, so the bits differ",
    "chunk_size": "the same gradient; dropout is drawn anew and sums are rounded otherwise, so the bits differ",
}


def _said(state: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    if "processes" in state:
        found["processes"] = f"by {_counted(state['processes'], 'process', 'es')}"
    if "device" in state:
        found["device"] = f"on {state['device']}"
    if "threads" in state:
        found["threads"] = f"with {_counted(state['threads'], 'thread', 's')}"
    if "chunk_size" in state:
        size = state["chunk_size"]
        found["chunk_size"] = f"in chunks of {size}" if size else "in whole batches"
    for name, number in state.get("versions", {}).items():
        found[name] = f"with {name} {number}"
    return found


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one}{more if number != 1 else ''}"
