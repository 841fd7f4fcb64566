"""What was fitted on the training split (``fitted.json`` and ``fitted.safetensors``): saved with the run, applied ever after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from contrapose.config.json import parse
from contrapose.errors import CheckpointError

_TENSOR, _ARRAY = "$tensor", "$array"


def save_fitted(folder: Path, state: dict[str, Any]) -> None:
    """Write a tree of dicts and lists whose leaves are tensors, arrays and JSON values. Raises ``CheckpointError``."""
    tensors: dict[str, Tensor] = {}
    tree = _take_out(state, "", tensors)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fitted.json").write_text(json.dumps(tree, indent=1, ensure_ascii=False), encoding="utf-8")
        safetensors.torch.save_file(tensors, folder / "fitted.safetensors")
    except (OSError, safetensors.SafetensorError) as e:
        raise CheckpointError(f"can't write to the run folder {folder}: {e}") from e


def load_fitted(folder: Path) -> dict[str, Any]:
    """The tree that ``save_fitted`` wrote. Raises ``CheckpointError`` where it is missing or damaged."""
    try:
        tree = parse((folder / "fitted.json").read_text(encoding="utf-8"))
        tensors = safetensors.torch.load_file(folder / "fitted.safetensors")
        state: dict[str, Any] = _put_in(tree, tensors)
        if not isinstance(state, dict) or not all(isinstance(part, dict) for part in state.values()):
            raise TypeError("not a mapping of mappings")
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as e:
        raise CheckpointError(f"the fitted state of {folder} can't be read: {e}") from e
    return state


def _take_out(tree: Any, key: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        tensors[key] = tree.detach().cpu().contiguous()
        return {_TENSOR: key}
    if isinstance(tree, np.ndarray):
        tensors[key] = torch.from_numpy(np.ascontiguousarray(tree))
        return {_ARRAY: key}
    if isinstance(tree, np.generic):
        return tree.item()
    if isinstance(tree, dict):
        return {k: _take_out(v, f"{key}/{k}", tensors) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_take_out(v, f"{key}/{i}", tensors) for i, v in enumerate(tree)]
    return tree


def _put_in(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, dict):
        if _TENSOR in tree:
            return tensors[tree[_TENSOR]]
        if _ARRAY in tree:
            return tensors[tree[_ARRAY]].numpy()
        return {k: _put_in(v, tensors) for k, v in tree.items()}
    return [_put_in(v, tensors) for v in tree] if isinstance(tree, list) else tree
