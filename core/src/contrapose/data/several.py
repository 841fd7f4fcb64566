"""Several datasets as one: samples one dataset after another, each with what its own has."""

from __future__ import annotations

import bisect
import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contrapose.config.schema import SplitConfig
from contrapose.data.failure import one_line, out_of_memory
from contrapose.data.samples import read_sample
from contrapose.data.sets import DATASET, open_sets
from contrapose.data.several_cells import SeveralCells
from contrapose.data.table import Columns
from contrapose.errors import ConfigError, ContraposeError, DataError, did_you_mean
from contrapose.types import Modality, Reader, Sample


class SeveralReader:
    """Samples of several datasets, under ids that count through them in the order of ``of``.

    Each has those of the run's modalities and of ``meta`` that it has columns for; of ``meta``, what it lacks is blank in its
    samples (-1, or NaN). Words have one code in all. The column ``dataset`` of ``meta`` is the dataset's number.

    Args:
        of: datasets by name: each as ``data:`` takes one, or a mapping of ``data``, of ``modalities`` and ``meta``, those columns
            that are called otherwise in it than the run says, and of ``split``, its own.

    Raises:
        ConfigError: a modality or column that none of them has, or that can't be one column; a stream.
        DataError: a dataset can't be read.
    """

    def __init__(
        self,
        of: Mapping[str, Any],
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        base: Path | None = None,
    ) -> None:
        opened = open_sets(of, modalities, columns, meta or {}, vocabularies, base)
        self.names = list(opened)
        self.parts: list[Reader] = [one.reader for one in opened.values()]
        self.own_splits: dict[str, SplitConfig | str] = {n: o.split for n, o in opened.items() if o.split is not None}
        self._called = [one.called for one in opened.values()]
        self._starts: list[int] = np.cumsum([0, *map(len, self.parts)]).tolist()
        self._rows = np.arange(self._starts[-1], dtype=np.int64)
        self._only: str | None = None
        self.vocabularies: dict[str, list[str]] = {}
        """What the codes of each coded column of ``meta`` stand for, in all datasets."""
        self._codes: list[dict[str, np.ndarray]] = [{} for _ in self.parts]
        said = dict.fromkeys([*(meta or {}), *(name for one in opened.values() for name in one.meta)])
        self.meta: dict[str, np.dtype] = {name: self._joined(name, vocabularies or {}) for name in said}
        self.meta[DATASET], self.vocabularies[DATASET] = np.dtype(np.int64), self.names

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, position: int) -> Sample:
        """The sample at a position, without the modalities that can't be read (`read` tells them)."""
        sample, failed = self.read(position)
        for _, error in failed:
            if _is_fatal(error):
                raise error
        return sample

    def read(self, position: int) -> tuple[Sample, list[tuple[str, Exception]]]:
        """The sample at a position, and (modality, error) for each that couldn't be read."""
        row = int(self._rows[position])
        k = bisect.bisect_right(self._starts, row) - 1
        sample, failed = read_sample(self.parts[k], row - self._starts[k])
        said = {name: self._recoded(k, name, sample.meta.get(name)) for name in self.meta if name != DATASET}
        data = {m: value for m, value in sample.data.items() if self._only in (None, m)}
        told = [(m, self._told(k, error)) for m, error in failed if self._only in (None, m)]
        return Sample(row, data, {**said, DATASET: k}), told

    @property
    def ids(self) -> np.ndarray:
        """Sample ids (N,) int64: the datasets' rows one after another, whatever the subset."""
        return self._rows

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of each modality that is read, as the run calls them."""
        found = {m: names for called in self._called for m, names in called.items()}
        return {m: names for m, names in found.items() if self._only in (None, m)}

    @property
    def column_names(self) -> list[str]:
        """The columns that any of the datasets has."""
        return list(dict.fromkeys(c for part in self.parts for c in getattr(part, "column_names", ())))

    def column(self, name: str) -> np.ndarray:
        """A column of ``meta`` as numbers (N,) without loading data. Raises `ConfigError`."""
        if name not in self.meta:
            raise ConfigError(f"no column {name!r} under meta:{did_you_mean(name, self.meta)}")
        made = np.empty(len(self), self.meta[name])
        for k, at, rows in self._shares():
            made[at] = k if name == DATASET else self._values(k, name, rows)
        return made

    def words(self, name: str) -> list[str | None]:
        """A column of ``meta``, or else of the datasets, as text (N,); None where a dataset lacks it. Raises `ConfigError`."""
        if name not in self.meta and name not in self.column_names:
            known = dict.fromkeys([*self.meta, *self.column_names])
            raise ConfigError(f"none of the datasets has a column {name!r}{did_you_mean(name, known)}")
        made = np.full(len(self), None, dtype=object)
        for k, at, rows in self._shares():
            part: Any = self.parts[k]
            if name == DATASET:
                made[at] = self.names[k]
            elif name in _meta_of(part) or (name not in self.meta and name in getattr(part, "column_names", ())):
                made[at] = part.subset(rows).words(name)
        found: list[str | None] = made.tolist()
        return found

    def cells(self, modality: str) -> Iterable[Mapping[str, Any]]:
        """The raw cells of a modality, by the run's columns, of the samples that have it; as often as one iterates.

        Text comes as `PlacedStr`, as each dataset's files lie in its own folder.
        """
        for k, _, _ in self._shares():
            if modality in self._called[k] and not hasattr(self.parts[k], "cells"):
                raise ConfigError(
                    f"{type(self.parts[k]).__name__} has no cells() to fit {modality} on; use a manifest",
                    ("data", "of", self.names[k]),
                )
        return SeveralCells(self, modality)

    def subset(self, positions: Sequence[int] | np.ndarray) -> SeveralReader:
        """The samples at these positions, under the same ids."""
        part = copy.copy(self)
        part._rows = self._rows[np.asarray(positions, dtype=np.int64)]
        return part

    def only(self, modality: str) -> SeveralReader:
        """The same samples, of which this modality alone is loaded."""
        part = copy.copy(self)
        part._only = modality
        part.parts = [p.only(modality) if hasattr(p, "only") else p for p in self.parts]
        return part

    def fingerprint(self) -> str:
        """A digest of the datasets, of which columns are read, and of the subset: equal for equal data."""
        parts = [p.fingerprint() if hasattr(p, "fingerprint") else f"{type(p).__name__} {len(p)}" for p in self.parts]
        said = repr((self.names, parts, sorted(self.columns), sorted(self.meta)))
        return hashlib.blake2b(said.encode() + self._rows.tobytes(), digest_size=16).hexdigest()

    def _shares(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """By dataset that has any of the samples: its number, their positions here, and their rows in it."""
        owner = np.searchsorted(self._starts, self._rows, side="right") - 1
        for k in range(len(self.parts)):
            at = np.flatnonzero(owner == k)
            if len(at):
                yield k, at, self._rows[at] - self._starts[k]

    def _joined(self, name: str, vocabularies: Mapping[str, Sequence[str]]) -> np.dtype:
        """The dtype of a column over all datasets; settles its words and their codes. Raises `ConfigError`."""
        having = [k for k, part in enumerate(self.parts) if name in _meta_of(part)]
        if not having:
            raise ConfigError(f"none of the datasets has the column of meta.{name}", ("of",))
        there = [k for k in having if not self._is_blank(k, name)]
        words = {k: list(getattr(self.parts[k], "vocabularies", {}).get(name, ())) for k in there}
        plain = [k for k in there if not words[k]]
        coded = [k for k in there if words[k]]
        if plain and coded:
            a, b = self.names[coded[0]], self.names[plain[0]]
            raise ConfigError(f"meta.{name} is words in {a} and numbers in {b}: make it the same in both", ("of",))
        if coded:
            known = list(vocabularies.get(name, ()))
            known += sorted({word for own in words.values() for word in own} - set(known))
            code = {word: i for i, word in enumerate(known)}
            self.vocabularies[name] = known
            for k, own in words.items():
                self._codes[k][name] = np.array([*(code[word] for word in own), -1])  # at -1, no value
        kinds = {_meta_of(self.parts[k])[name] for k in there}
        return np.dtype(np.float64 if any(kind.kind == "f" for kind in kinds) else np.int64)

    def _is_blank(self, k: int, name: str) -> bool:
        """Whether a column has no value at all, so that it could be of any kind."""
        part: Any = self.parts[k]
        if not hasattr(part, "column"):
            return False
        values = part.column(name)
        return bool(((values == -1) | (values != values)).all())

    def _values(self, k: int, name: str, rows: np.ndarray) -> np.ndarray:
        """A dataset's values of a column of ``meta`` at its rows, as they are in all."""
        part: Any = self.parts[k]
        if name not in _meta_of(part):
            return np.full(len(rows), self._recoded(k, name, None))
        if hasattr(part, "column"):
            values = np.asarray(part.column(name))[rows]
        else:
            values = np.array([part[i].meta[name] for i in rows.tolist()])
        if name in self._codes[k]:
            return self._codes[k][name][values]
        return values if self.meta[name] == values.dtype else np.where(values == -1, np.nan, values)

    def _recoded(self, k: int, name: str, value: float | int | None) -> float | int:
        is_float = self.meta[name].kind == "f"
        if value is None or value == -1:
            return float("nan") if is_float else -1
        codes = self._codes[k].get(name)
        return int(codes[int(value)]) if codes is not None else float(value) if is_float else value

    def _told(self, k: int, error: Exception) -> Exception:
        return error if _is_fatal(error) else DataError(f"{self.names[k]}: {one_line(error)}")


def _meta_of(part: Reader) -> Mapping[str, np.dtype]:
    if hasattr(part, "meta"):
        found: Mapping[str, np.dtype] = part.meta
        return found
    return {name: np.asarray(value).dtype for name, value in part[0].meta.items()}


def _is_fatal(error: Exception) -> bool:
    ours = isinstance(error, ContraposeError) and not isinstance(error, DataError)
    return ours or isinstance(error, ImportError) or out_of_memory(error)
