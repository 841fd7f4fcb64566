"""What a frozen encoder's taps are a function of, as one digest: where any of it changes, the cache is another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from contrapose.methods.method import Method
from contrapose.types import Reader

from .build import Parts
from .components import in_words

FORMAT = 1
PROBE = 16
"""So many cells tell whether a modality's cells name files."""


def key(parts: Parts, method: Method, modality: str, views: Sequence[str], encoder: str, taps: Sequence[str]) -> str:
    """A digest of weights, encoder, views, modality, fitted state, precision and data: those of the training split."""
    reader = parts.splits["train"]
    generators = {key: g for key, g in parts.plan.generators.items() if key.partition(".")[0] == modality}
    reads = sorted({g.modality for g in generators.values()})
    run = parts.run
    said = {
        "format": FORMAT,
        "versions": {name: version(name) for name in ("contrapose", "torch")},
        "encoder": run.encoders.get(encoder),
        "views": {key: run.views.get(key) for key in generators},
        "made": list(views),
        "taps": list(taps),
        "modalities": {m: run.modalities.get(m) for m in reads},
        "precision": run.train.precision,
        "data": reader.fingerprint(),  # type: ignore[attr-defined]
    }
    digest = hashlib.blake2b(json.dumps(said, sort_keys=True, default=in_words).encode(), digest_size=16)
    for part in _bytes(dict(method.towers.encoders[encoder].state_dict())):
        digest.update(part)
    for part in _bytes({k: s for k, s in parts.plan.state_dict().items() if k in generators}):
        digest.update(part)
    for m in reads:
        if hasattr(parts.modalities[m], "state_dict"):
            for part in _bytes(parts.modalities[m].state_dict()):  # type: ignore[attr-defined]
                digest.update(part)
        for line in _files(reader, m):
            digest.update(line.encode())
    return f"{modality}-{digest.hexdigest()}"


def _bytes(tree: Any) -> Iterator[bytes]:
    """A tree of tensors, arrays and plain values as bytes."""
    if isinstance(tree, Mapping):
        for name in sorted(tree, key=str):
            yield str(name).encode()
            yield from _bytes(tree[name])
    elif isinstance(tree, (list, tuple)):
        for item in tree:
            yield from _bytes(item)
    elif isinstance(tree, Tensor):
        flat = tree.detach().cpu().contiguous().flatten()
        yield f"{tree.dtype}{tuple(tree.shape)}".encode()
        yield (
            flat.view(dtype=flat.dtype).numpy().tobytes()
            if flat.dtype.itemsize != 2
            else flat.float().numpy().tobytes()
        )
    elif isinstance(tree, np.ndarray):
        yield f"{tree.dtype}{tree.shape}".encode() + tree.tobytes()
    else:
        yield repr(tree).encode()


def _files(reader: Reader, modality: str) -> Iterator[str]:
    """Size and time of each file that a modality's cells name, since a manifest's digest doesn't know what they hold."""
    root = getattr(reader, "root", Path())
    found = 0
    cells = (
        c for cells in getattr(reader, "cells", lambda m: ())(modality) for c in cells.values() if isinstance(c, str)
    )
    for number, cell in enumerate(cells):
        if number == PROBE and not found:  # words, or addresses
            return
        try:
            stat = os.stat(root / cell)
        except (OSError, ValueError):
            continue
        found += 1
        yield f"{cell} {stat.st_size} {stat.st_mtime_ns}"
