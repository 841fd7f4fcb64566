"""Embeddings of data by a method, without augmentation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from contrapose.data import Loader
from contrapose.methods.method import Method
from contrapose.types import IDENTITY, Batch, Rows, cat_rows

Head = Literal["projected", "pooled"]


@dataclass(frozen=True)
class Embeddings:
    """One modality's embeddings: ``ids`` (n,) int64 of the samples in the data's order, ``z`` (n, D) float32 as the head gives
    them (not normalised), and ``columns``, the data's ``meta`` of the same rows, each (n,).
    """

    ids: np.ndarray
    z: np.ndarray
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)


def embed(method: Method, loader: Iterable[Batch], head: Head = "projected") -> dict[str, Embeddings]:
    """Embed every sample of an unshuffled ``loader``, which gives batches on the method's device, in eval mode.

    A sample without a modality has no row there.
    """
    was_training = method.training
    method.eval()
    parts: dict[str, list[Embeddings]] = {}
    with torch.no_grad():
        for batch in loader:
            for modality, rows in method.embed(batch, head=head).items():
                columns = {k: c.cpu().numpy() for k, c in rows.meta.items() if k not in IDENTITY}
                ids = rows.meta["sample"].cpu().numpy()
                parts.setdefault(modality, []).append(Embeddings(ids, rows.z.float().cpu().numpy(), columns))
    method.train(was_training)
    return {modality: _joined(of) for modality, of in parts.items()}


def table(method: Method, loader: Loader, ref: str) -> Rows:
    """A table of the method over every sample of a loader, which gives batches on the method's device."""
    return cat_rows([method.table(batch, ref) for batch in loader])


def _joined(parts: list[Embeddings]) -> Embeddings:
    columns = {name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns}
    return Embeddings(np.concatenate([p.ids for p in parts]), np.concatenate([p.z for p in parts]), columns)
