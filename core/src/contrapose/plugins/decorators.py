"""Marks on what a plugin file or a notebook defines, by which ``Registry.load_file`` knows it. A mark changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def mark(obj: T, kind: str, name: str) -> T:
    """Say that ``obj`` is a component of ``kind``, to be offered as ``name`` when its file is loaded by ``--plugin``."""
    obj.__contrapose__ = (kind, name)  # type: ignore[attr-defined]
    return obj


def modality(name: str) -> Callable[[T], T]:
    """Offer a modality (``types.Modality``) as ``name``, which is its ``name`` too: ``@contrapose.modality("smell")``."""
    return lambda obj: mark(obj, "modality", name)


def encoder(name: str) -> Callable[[T], T]:
    """Offer a factory of encoders (``types.Encoder``) as ``name``: ``@contrapose.encoder("tiny")``."""
    return lambda obj: mark(obj, "encoder", name)


def loss(name: str) -> Callable[[T], T]:
    """Offer a loss as ``name``: ``@contrapose.loss("huber")``."""
    return lambda obj: mark(obj, "loss", name)
