"""Pretrained weights, by torchvision's name or from a file; nothing is unpickled but tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

import torch
from torch import nn
from torchvision import models

from contrapose.errors import ConfigError, did_you_mean


def load_weights(net: nn.Module, architecture: str, weights: str, gone: tuple[str, ...] = ("fc",)) -> None:
    """Load weights into a torchvision ``architecture`` whose classifier, the modules ``gone``, is no more.

    ``weights`` is the path of a .safetensors or torch file, or torchvision's name of a weight set, which it fetches
    and keeps. Raises ``ConfigError`` where there is no such thing, it can't be fetched or read, or doesn't fit.
    """
    state = from_file(Path(weights)) if _is_path(weights) else _by_name(architecture, weights)
    fit_weights(net, architecture, state, weights, gone)


def fit_weights(net: nn.Module, architecture: str, state: dict[str, Any], weights: str, gone: tuple[str, ...]) -> None:
    """Load a state without what belongs to the modules ``gone``. Raises ``ConfigError`` where it doesn't fit."""
    for name in [n for n in state if n.startswith(tuple(f"{g}." for g in gone))]:
        del state[name]  # from the very mapping, which may bear versions of its modules
    try:
        net.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        lines = [" ".join(line.split()) for line in str(error).splitlines()]
        raise ConfigError(
            f"{weights} doesn't fit {architecture} as it is built here: {lines[-1]}", ("weights",)
        ) from error


def _is_path(weights: str) -> bool:
    return bool(Path(weights).suffix) or "/" in weights or Path(weights).exists()


def from_file(path: Path) -> dict[str, Any]:
    """The tensors of a .safetensors or torch file by name. Raises ``ConfigError``."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", ("weights",))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state.get("state_dict", state)
    except Exception as error:  # torch and safetensors raise a dozen kinds for a broken file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{path} holds no weights that can be read safely: {reason}", ("weights",)) from error


def _by_name(architecture: str, name: str) -> dict[str, Any]:
    known = models.get_model_weights(architecture).__members__
    if name != "DEFAULT" and name not in known:
        raise ConfigError(f"{architecture} has no weights {name!r}{did_you_mean(name, known)}", ("weights",))
    chosen = models.get_weight(f"{models.get_model_weights(architecture).__name__}.{name}")
    try:
        return cast(dict[str, Any], chosen.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"{name} of {architecture} can't be fetched ({error}); offline, give the path of a file", ("weights",)
        ) from error
