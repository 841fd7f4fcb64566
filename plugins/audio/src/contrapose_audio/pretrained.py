"""The networks of transformers, by a config or from a folder. It is imported when a network is made, since that takes seconds."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from contrapose.config.json import parse
from contrapose.data.failure import one_line
from contrapose.errors import ConfigError, did_you_mean


def network(kind: str, config: Mapping[str, Any] | None, path: str | None) -> Any:
    """``transformers.<kind>Model`` in float32 and train mode: of a config with random weights, or with those of a folder.

    Args:
        kind: such as "AST".
        config: what ``<kind>Config`` takes; what it leaves out is as there.
        path: a folder that transformers saved. Its tensors are read without running code, and nothing is fetched.

    Raises:
        ConfigError: transformers isn't installed, a config it doesn't know or can't build, or a folder that holds no such network.
    """
    made, settings = _classes(kind)
    if path is not None:
        if config is not None:
            raise ConfigError("give a config or a path: a folder has a config of its own", ("config",))
        return _from_folder(made, kind, Path(path).expanduser())
    known = [*vars(settings()), *settings.attribute_map]
    for name in config or {}:
        if name not in known:
            raise ConfigError(
                f"transformers' {settings.__name__} has no {name!r}{did_you_mean(name, known)}", ("config",)
            )
    try:
        # Eager attention is the same each time, on CUDA too.
        net: Any = made._from_config(settings(**(config or {})), attn_implementation="eager", dtype=torch.float32)
    except Exception as error:  # each network checks its sizes, or fails on them, in its own way
        raise ConfigError(f"transformers can't make a {kind} of it: {one_line(error)}", ("config",)) from error
    return net.train()


def _from_folder(made: Any, kind: str, folder: Path) -> Any:
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", ("path",))
    try:
        said = parse((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the config.json of {folder} can't be read: {one_line(error)}", ("path",)) from error
    found = said.get("model_type") if isinstance(said, dict) else None
    if found != made.config_class.model_type:
        raise ConfigError(f"{folder} holds a network of the type {found!r}, no {kind}", ("path",))
    try:
        with _quiet():
            net, report = made.from_pretrained(
                str(folder), local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
    except Exception as error:  # transformers raises a dozen kinds for a broken file
        raise ConfigError(f"the folder {folder} can't be loaded: {one_line(error)}", ("path",)) from error
    if absent := sorted(report["missing_keys"]):
        raise ConfigError(f"{folder} lacks weights of its network: {', '.join(absent[:3])}, ...", ("path",))
    return net.train()


def _classes(kind: str) -> tuple[Any, Any]:
    try:
        import transformers
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("transformers"):
            raise
        raise ConfigError("needs transformers: pip install 'contrapose-audio[transformers]'") from None
    return getattr(transformers, f"{kind}Model"), getattr(transformers, f"{kind}Config")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars, reports and warnings."""
    from transformers.utils import logging as hf

    disabled, bars = logging.root.manager.disable, hf.is_progress_bar_enabled()
    logging.disable(logging.WARNING)
    hf.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if bars:
            hf.enable_progress_bar()
