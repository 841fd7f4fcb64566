"""Search: the things of a dataset that are nearest to a query, whatever modality either is of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contrapose.data import open_other
from contrapose.engine.embed import Embeddings, embed
from contrapose.errors import ConfigError, DataError, did_you_mean
from contrapose.evaluate.query import ROW, query_sample, require_known
from contrapose.types import Batch, Reader, Sample

if TYPE_CHECKING:
    from contrapose.engine.run import Run

Skipped = list[tuple[int, str, str]]
"""(sample id, modality, reason) of what couldn't be read."""


@dataclass(frozen=True)
class Hit:
    """A thing found: its ``id``, its ``cosine`` to the query, and ``by`` modality those of which that is the mean.

    ``own``: it is the row that was asked with.
    """

    id: int
    cosine: float
    by: dict[str, float]
    own: bool


@dataclass(frozen=True)
class Found:
    """What a search found: ``hits``, the nearest first, among ``things`` rows of ``reader`` that have one of ``to``.

    ``query`` is what was asked, ``skipped`` what of the data couldn't be read.
    """

    query: Sample
    to: list[str]
    hits: list[Hit]
    things: int
    reader: Reader
    skipped: Skipped


def search(
    run: Run,
    data: Reader | str | Path | None,
    query: Mapping[str, Any],
    to: Sequence[str] = (),
    k: int = 8,
    from_: Sequence[str] = (),
) -> Found:
    """Find the ``k`` things nearest to a query, in the space of the loss.

    A query of several parts is the mean of their unit vectors. A thing's score is the mean of its cosines to the query over
    those modalities of ``to`` that it has. A row that is asked with is left out where it would meet itself: where ``to``
    holds a modality that it is asked by.

    Args:
        run: the trained run.
        data: what is searched; see ``gallery``.
        query: by modality a cell as in a manifest (words, a path, a mapping from columns to values), or ``{"row": id}``.
        to: the modalities that are searched; by default every one that the query isn't made of. If none is left, or a row asks
            by all that it has, every one.
        k: how many things.
        from_: by which of its modalities a row asks; by default all that it has.

    Raises:
        ConfigError: a modality that the run lacks, or one that shares no space with the query.
        DataError: the query can't be read, or there is nothing to search.
    """
    require_known(run.parts, to)
    reader = gallery(run, data)
    asked = query_sample(run.parts, reader, query, from_)
    vector = _vector(run, asked)
    there = list(getattr(reader, "columns", run.parts.columns))
    if missing := [m for m in to if m not in there]:
        raise ConfigError(f"the data have no {missing[0]}; there is {', '.join(there)}")
    whole = ROW in query and not from_
    chosen = list(to) or [m for m in there if whole or m not in asked.data] or there
    made, skipped = _embedded(run, reader, chosen)
    for modality in list(made):
        if made[modality].z.shape[1] != len(vector):
            if to:
                raise ConfigError(f"{modality} and {' + '.join(asked.data)} share no space in this run")
            del made[modality]
    if not made:
        raise DataError(f"none of the {len(reader)} rows has {' or '.join(chosen)} to compare with the query")
    ids, cosines = _cosines(vector, made)
    own = ids == asked.id
    if asked.data.keys() & made.keys():
        ids, cosines, own = ids[~own], cosines[~own], own[~own]
        if not len(ids):
            raise DataError(f"there is nothing but row {asked.id} itself to compare it with")
    scores = np.nanmean(cosines, axis=1)
    nearest = np.lexsort((ids, -scores))[:k]
    hits = [Hit(int(ids[i]), float(scores[i]), _known(made, cosines[i]), bool(own[i])) for i in nearest]
    return Found(asked, list(made), hits, len(ids), reader, skipped)


def gallery(run: Run, data: Reader | str | Path | None = None) -> Reader:
    """What is searched: a split of the run's own data by its name, another manifest or folder, or a reader.

    None is the run's ``test`` split, or ``train`` where there is none. Raises ``DataError``.
    """
    if data is None:
        splits = run.parts.splits
        return splits["test" if "test" in splits else "train"]
    if isinstance(data, str) and re.fullmatch(r"[\w-]+", data):  # a plain word; ./folder is no split
        if data in run.parts.splits:
            return run.parts.splits[data]
        if not Path(data).exists():
            raise DataError(f"{data}: neither data nor a split of the run{did_you_mean(data, run.parts.splits)}")
    if isinstance(data, (str, Path)):
        return open_other(data, run.parts.modalities, run.parts.columns)
    return data


def _vector(run: Run, query: Sample) -> np.ndarray:
    """The query's unit vector (D,) float32."""
    made, skipped = _embedded(run, [replace(query, id=0, meta={})], list(query.data))
    for modality in query.data:
        if modality not in made:
            why = next((f": {why}" for _, m, why in skipped if m == modality), "; no branch of it was trained")
            raise DataError(f"the query's {modality} can't be embedded{why}")
    if len({found.z.shape[1] for found in made.values()}) > 1:
        raise ConfigError(f"{' and '.join(made)} share no space in this run, so they can't be one query")
    return _unit(np.sum([_unit(found.z[0]) for found in made.values()], axis=0))


def _embedded(run: Run, reader: Reader, modalities: Sequence[str]) -> tuple[dict[str, Embeddings], Skipped]:
    """Embeddings of these modalities, where a row has them, and what couldn't be read of them."""
    made: dict[str, Embeddings] = {}
    skipped: Skipped = []

    def noted(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            skipped.extend(skip for skip in batch.skipped if skip[1] in modalities)
            yield batch

    device = next(run.method.parameters()).device
    for part in [reader.only(m) for m in modalities] if hasattr(reader, "only") else [reader]:
        found = embed(run.method, noted(iter(run.parts.eval_loader(part, 256, device))))
        made |= {m: e for m, e in found.items() if m in modalities and len(e)}
    for modality, embeddings in made.items():
        if not np.isfinite(embeddings.z).all():
            raise DataError(f"embeddings of {modality} aren't finite: the training diverged")
    return made, skipped


def _cosines(vector: np.ndarray, made: Mapping[str, Embeddings]) -> tuple[np.ndarray, np.ndarray]:
    """The ids (n,) of all things, ascending, and their cosines (n, modalities), NaN where one lacks the modality."""
    ids = np.unique(np.concatenate([found.ids for found in made.values()]))
    cosines = np.full((len(ids), len(made)), np.nan, np.float32)
    for column, found in zip(cosines.T, made.values(), strict=True):
        column[np.searchsorted(ids, found.ids)] = _unit(found.z) @ vector
    return ids, cosines


def _known(made: Mapping[str, Embeddings], cosines: np.ndarray) -> dict[str, float]:
    return {m: float(c) for m, c in zip(made, cosines, strict=True) if np.isfinite(c)}


def _unit(z: np.ndarray) -> np.ndarray:
    return z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-12)
