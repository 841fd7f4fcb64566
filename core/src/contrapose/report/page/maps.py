"""Embedding maps: points in the plane, which sample each is, and what its colour means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from contrapose.evaluate import Embedded, Table
from contrapose.report.plots import commonest, flatten
from contrapose.types import Reader


def maps(embedded: Embedded, ids: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """Those of ``ids`` in each space that modalities share, then in each encoder's own features.

    A map has a ``title``, the ``modalities`` in it, and ``points`` [id, which of these modalities, x, y], x and y in [0, 1].
    """
    projected = _only(embedded.tables(embedded.split, "projected"), ids)
    pooled = _only(embedded.tables(embedded.split, "pooled"), ids)
    spaces: dict[int, dict[str, Table]] = {}
    for modality, table in projected.items():
        spaces.setdefault(table.z.shape[1], {})[modality] = table
    shared = [tables for tables in spaces.values() if len(tables) > 1]
    made = [_map(" + ".join(tables) if len(shared) > 1 else "The shared space", tables, seed) for tables in shared]
    return made + [_map(modality, {modality: table}, seed) for modality, table in pooled.items()]


def classes(tables: Mapping[str, Table], names: Mapping[float, str]) -> tuple[list[str], dict[int, tuple[int, str]]]:
    """Names of the classes that have a colour, ``other`` last where there are more; by labelled sample its class and label."""
    labels = {m: t.labels for m, t in tables.items() if t.labels is not None}
    coloured = commonest(labels)
    said = [names.get(label, f"{label:g}") for label in coloured]
    of: dict[int, tuple[int, str]] = {}
    for modality, values in labels.items():
        for i, label in zip(tables[modality].ids.tolist(), values.tolist(), strict=True):
            if not np.isnan(label):
                place = coloured.index(label) if label in coloured else len(coloured)
                of[i] = place, names.get(label, f"{label:g}")
    return said + ["other"] * any(place == len(coloured) for place, _ in of.values()), of


def label_names(reader: Reader) -> dict[float, str]:
    """What the codes of the ``label`` column stand for."""
    return {float(i): word for i, word in enumerate(getattr(reader, "vocabularies", {}).get("label", []))}


def _only(tables: Mapping[str, Table], ids: Iterable[int]) -> dict[str, Table]:
    kept = {m: t.take(np.isin(t.ids, np.asarray(ids))) for m, t in tables.items()}
    return {m: t for m, t in kept.items() if len(t)}


def _map(title: str, tables: Mapping[str, Table], seed: int) -> dict[str, Any]:
    # Unit vectors: what the loss and the neighbours compare.
    units = [
        t.z.numpy() / np.maximum(np.linalg.norm(t.z.numpy(), axis=1, keepdims=True), 1e-12) for t in tables.values()
    ]
    flat = flatten(np.concatenate(units), seed)
    flat = (flat - (flat.min(axis=0) + flat.max(axis=0)) / 2) / max(float(np.ptp(flat, axis=0).max()), 1e-9) + 0.5
    ids = np.concatenate([t.ids for t in tables.values()])
    which = np.repeat(np.arange(len(tables)), [len(t) for t in tables.values()])
    points = [
        [int(i), int(m), round(float(x), 4), round(float(y), 4)] for i, m, (x, y) in zip(ids, which, flat, strict=True)
    ]
    return {"title": title, "modalities": list(tables), "points": points}
