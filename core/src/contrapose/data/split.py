"""The parts of a dataset: by a column's values, or by a hash of groups."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from contrapose.data.sets import DATASET
from contrapose.data.several import SeveralReader
from contrapose.errors import ConfigError, DataError
from contrapose.types import Reader, Sample, StreamReader

TRAIN = "train"


@runtime_checkable
class Divisible(Protocol):
    """A reader that can be split: it tells a column's values as text, and gives subsets under the same ids."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int) -> Sample: ...
    def words(self, name: str) -> list[str | None]:
        """The values of a column as text (N,)."""

    def subset(self, positions: np.ndarray) -> Divisible:
        """The samples at these positions."""


def split(reader: Reader, spec: Mapping[str, Any] | str | None) -> dict[str, Reader]:
    """The parts of a dataset by name, ``train`` always among them.

    ``{column: c}``: a part for each value of the column. ``{by: group, test: 0.2, val: 0.1, seed: 0}``: each named
    part gets about that fraction of the samples, ``train`` the rest; samples of one group (a ``meta`` name or a
    column) never part, those without a group go alone, and without ``by`` all do. None or "none": all is ``train``. Of several
    datasets those that have a split of their own are divided by that, the others as one.
    Raises `ConfigError` with its path.
    """
    if isinstance(reader, SeveralReader) and reader.own_splits:
        names = _by_dataset(reader, spec)
    elif spec is None or spec == "none":
        return {TRAIN: reader}
    else:
        names = _names(reader, spec)
    assert isinstance(reader, Divisible)
    return {name: reader.subset(np.flatnonzero(names == name)) for name in np.unique(names).tolist()}


def _by_dataset(reader: SeveralReader, spec: Mapping[str, Any] | str | None) -> np.ndarray:
    """Datasets that have a split of their own by that, the others together by ``spec``, so that no group parts."""
    names = np.full(len(reader), TRAIN, dtype=object)
    dataset = reader.column(DATASET)
    rest = []
    for number, name in enumerate(reader.names):
        own, at = reader.own_splits.get(name), np.flatnonzero(dataset == number)
        if own is None:
            rest.append(at)
        elif not isinstance(own, str):
            try:
                names[at] = _names(reader.parts[number], own.plain())
            except ConfigError as error:
                raise ConfigError(error.message, ("data", "of", name, *error.path)) from None
    if rest and spec is not None and spec != "none":
        at = np.concatenate(rest)
        names[at] = _names(reader.subset(at), spec)
    return names.astype(str)


def _names(reader: Any, spec: Mapping[str, Any] | str) -> np.ndarray:
    """The part that each sample falls to."""
    if not isinstance(spec, Mapping):
        raise ConfigError("write {column: c}, {by: group, test: 0.2, seed: 0}, or none", ("split",))
    if isinstance(reader, StreamReader):
        raise ConfigError("a stream can't be split; leave it out, and test on data of their own", ("split",))
    if not isinstance(reader, Divisible):
        raise ConfigError(f"{type(reader).__name__} can't be split; leave split out", ("split",))
    column = spec.get("column")
    return _by_column(reader, column) if column is not None else _by_group(reader, spec)


def _by_column(reader: Divisible, column: str) -> np.ndarray:
    values = _words(reader, column, ("split", "column"))
    if None in values:
        hint = "; a dataset that lacks it needs a split of its own" if isinstance(reader, SeveralReader) else ""
        raise DataError(
            f"{values.count(None)} of {len(values)} samples have no value in the split's column {column!r}{hint}"
        )
    if TRAIN not in values:
        there = ", ".join(sorted(set(map(str, values)))[:12])
        raise ConfigError(f"no sample is {TRAIN!r} in {column!r}; there is {there}", ("split", "column"))
    return np.array(values)


def _by_group(reader: Divisible, spec: Mapping[str, Any]) -> np.ndarray:
    fractions = {name: value for name, value in spec.items() if name not in ("column", "by", "seed")}
    for name, fraction in fractions.items():
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 < fraction < 1:
            raise ConfigError(f"a part is a fraction between 0 and 1, not {fraction!r}", ("split", name))
    if not fractions or sum(fractions.values()) >= 1:
        raise ConfigError(f"give parts, say test: 0.2, that leave some of 1 for {TRAIN}", ("split",))
    by, seed = spec.get("by"), spec.get("seed", 0)
    words = _words(reader, by, ("split", "by")) if by is not None else itertools.repeat(None, len(reader))
    groups = (f"alone {i}" if word is None else f"group {word}" for i, word in enumerate(words))
    places = (hashlib.blake2b(f"{seed} {group}".encode(), digest_size=8).digest() for group in groups)
    numbers = np.fromiter((int.from_bytes(place, "big") for place in places), np.uint64, len(reader))
    # Groups lie on a line in the order of their hashes, each as long as it has samples; its middle decides its part.
    _, member, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
    middle = (np.cumsum(sizes) - sizes / 2) / len(reader)
    part = np.searchsorted(np.cumsum(list(fractions.values())), middle, side="right")
    names = np.array([*fractions, TRAIN])[part][member]
    for name in (*fractions, TRAIN):
        if name not in names:
            raise ConfigError(f"no group fell to {name!r}: {len(sizes)} are too few or too unequal", ("split", name))
    return names


def _words(reader: Divisible, column: str, path: tuple[str, ...]) -> list[str | None]:
    try:
        return reader.words(column)
    except ConfigError as error:
        raise ConfigError(error.message, path) from None
