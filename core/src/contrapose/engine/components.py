"""What a config's names stand for: modalities, their samples to fit on, their evaluation views, their encoders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from contrapose.branches.branch import Branch
from contrapose.config import build, signature
from contrapose.config.schema import ModalityConfig
from contrapose.data.frame import is_frame
from contrapose.data.table import TableReader
from contrapose.errors import ConfigError, PluginError, did_you_mean
from contrapose.plugins import registry
from contrapose.plugins.registry import TO_INSTALL
from contrapose.types import Modality, Reader, Sample, StreamReader, matches


class Samples:
    """Those of a reader's samples that have a modality, as often as one iterates.

    Args:
        reader: the samples.
        modality: its name.
        made: the modality; with its ``load_columns``, a table's samples also come by column (``batches``).
    """

    def __init__(self, reader: Reader, modality: str, made: Modality | None = None) -> None:
        self.reader = reader.only(modality) if hasattr(reader, "only") else reader
        self.modality = modality
        self._by_column = isinstance(reader, TableReader) and hasattr(made, "load_columns")

    def __iter__(self) -> Iterator[Sample]:
        stream = isinstance(self.reader, StreamReader)
        samples = iter(self.reader) if stream else (self.reader[i] for i in range(len(self.reader)))
        return (sample for sample in samples if self.modality in sample.data)

    @property
    def batches(self) -> Callable[[], Iterator[tuple[Any, Mapping[str, np.ndarray]]]]:
        """Gives the same samples in the order of their ids: collated data of many, and the columns of their ``meta`` (n,).

        No such attribute where they can't be read by column.
        """
        if not (self._by_column and isinstance(self.reader, TableReader)):
            raise AttributeError(f"samples of {self.modality} come one by one")
        return partial(self.reader.batches, self.modality)


def modality_of(node: Any, kind: str = "encoder") -> str | None:
    """What an encoder or a view reads, as far as its offer, or the class or function itself, says so."""
    name = node.get("use") if isinstance(node, Mapping) else node
    if not isinstance(name, str):
        said = getattr(name, "modality", None)
        return said if isinstance(said, str) else None
    offers = registry().offers(kind)
    return next((o.spec.modality for o in offers if name in (o.name, o.spec.name)), None)


def no_encoder(modality: str) -> ConfigError:
    """The error that names the encoders on offer."""
    known = ", ".join(o.name for o in registry().offers("encoder") if o.spec.modality == modality)
    return ConfigError(f"modality {modality!r} has no encoder; add one{f': {known}' if known else ''}", ("encoders",))


def unreached(views: Mapping[str, str], branches: Mapping[str, Branch]) -> list[str]:
    """The modalities, of ``views`` by full name, of which no branch takes a view."""
    taken = {m for name, m in views.items() if any(matches(name, b.views) for b in branches.values())}
    return [m for m in dict.fromkeys(views.values()) if m not in taken]


def make_modality(name: str, said: Any, path: tuple[str, ...]) -> Modality:
    """A modality with the arguments that ``modalities`` gives it; its ``use`` may name it, or be a class of one's own.

    Raises ``ConfigError`` saying what to install.
    """
    arguments = said.arguments if isinstance(said, ModalityConfig) else {}
    if "use" in arguments:
        own: Modality = build("modality", arguments, path)
        return own
    try:
        registry().find("modality", name)
    except PluginError as e:
        known = {o.spec.name for o in registry().offers("modality")}
        near = did_you_mean(name, known)
        if "did you mean" in near or "ambiguous" in str(e) or name in known:
            raise ConfigError(str(e), path) from e
        raise ConfigError(f"modality {name!r} is not installed; {TO_INSTALL}", path) from e
    made: Modality = build("modality", {"use": name, **arguments}, path)
    return made


def fit_modality(modality: Modality, train: Reader) -> None:
    """Fit a modality that fits on the raw cells of the training split."""
    if not hasattr(modality, "fit"):
        return
    if not hasattr(train, "cells"):
        raise ConfigError(f"{type(train).__name__} has no cells() to fit {modality.name} on; use a manifest", ("data",))
    try:
        modality.fit(train.cells(modality.name), getattr(train, "root", Path()))
    except ConfigError as e:
        raise ConfigError(e.message, ("modalities", modality.name, *e.path)) from None


def eval_view(modality: str, views: Mapping[str, Any]) -> dict[str, Any] | None:
    """The plugin's ``eval`` view, if any; arguments that training's views of this modality give too (a size) hold for it."""
    name = f"{modality}/eval"
    if not any(o.name == name for o in registry().offers("view")):
        return None
    known = {p.name for p in signature("view", name)}
    said: dict[str, Any] = {}
    for key, node in views.items():
        if key.partition(".")[0] == modality:
            for arguments in _arguments(node):
                said |= {k: v for k, v in arguments.items() if k in known and k not in said}
    return {"use": name, **said}


def in_words(component: Any) -> str:
    """A Python object that a config holds, as text that is the same in every process: its repr without its address.

    A table is told by its size, as its repr shows cells.
    """
    if is_frame(component):
        return f"{type(component).__name__} of shape {tuple(getattr(component, 'shape', ()))}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(component))


def _arguments(node: Any) -> Iterator[Mapping[str, Any]]:
    """The mappings of a view's node, composed ones too."""
    if isinstance(node, Mapping):
        yield node
        yield from _arguments(node.get("use"))
    elif isinstance(node, list):
        for part in node:
            yield from _arguments(part)
