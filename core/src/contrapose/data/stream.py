"""Samples from shards that can only be read from their beginning: what tars at an address and iterable datasets share."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from contrapose.data.cells import NamedBytes
from contrapose.data.columns import encode
from contrapose.data.failure import one_line, raise_if_fatal
from contrapose.data.table import Columns
from contrapose.errors import ConfigError, DataError, Unreachable, did_you_mean, warn
from contrapose.types import Modality, Raw, Sample, ident

HEAD = 64
"""So many samples say which columns there are, and of what type those under ``meta`` are."""
PASSING = (408, 425, 429)
"""Statuses below 500 of a server that may say otherwise later: timeout, too early, too many requests."""
TRIES = 5
WAIT = 2.0
"""How often in a row a shard is asked for, and seconds before it is asked for again, each time twice as many."""

Found = tuple[dict[str, Any], list[tuple[str, Exception]]]
"""The cells of a sample by column, and (what, error) for those that are broken."""


class NoPositions(DataError, TypeError):
    """What a stream says when it is asked for its length or for a position; a TypeError, as ``list()`` asks too."""


class RowStream:
    """Base of streams: a subclass gives ``found(shard, start)``, the cells of a shard's samples from the ``start``-th on.

    An id is (number of the shard) * 2^32 + (number in it). A ``meta`` column's type is that of its first value; of text it
    keeps ``ident(text)``, as nobody knows all words of a stream: equal text gives equal numbers, which are no class numbers.

    Raises:
        ConfigError: the first samples have no such column.
        DataError: there is no sample, or the first shard can't be reached (`Unreachable`).
    """

    def __init__(
        self,
        shards: Sequence[str],
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        samples: int | None = None,
    ) -> None:
        self.shards, self.samples = list(shards), samples
        self.root = Path(self.shards[0]).parent
        self.vocabularies: dict[str, list[str]] = {}
        self._modalities, self._said = dict(modalities), dict(columns)
        names: dict[str, None] = {}
        first: dict[str, Any] = dict.fromkeys((meta or {}).values())
        for raw in islice(self.all(), HEAD):
            names |= dict.fromkeys(raw.cells)
            first |= {c: raw.cells.get(c) for c, value in first.items() if value is None}
        if not names:
            raise DataError(f"{self.shards[0]}: no samples")
        self.columns = {modality: self._named(modality, spec, list(names)) for modality, spec in columns.items()}
        for name, column in (meta or {}).items():
            _require(column, list(names), ("meta", name))
        self._meta = dict(meta or {})
        try:
            numbers = {name: number(first[column]) for name, column in self._meta.items()}
        except DataError as error:
            raise ConfigError(str(error), ("meta",)) from None
        self.meta = {n: np.dtype(np.float64 if isinstance(v, float) else np.int64) for n, v in numbers.items()}

    def found(self, shard: int, start: int) -> Iterator[Found]:
        """The cells of a shard's samples. Raises ``OSError`` where it can't be reached, ``DataError`` where it is damaged."""
        raise NotImplementedError

    def rows(self, shard: int, start: int = 0) -> Iterator[Raw]:
        """See `StreamReader`; a shard that doesn't answer is asked ``TRIES`` times, and goes on where it broke off."""
        tries = 0
        while True:
            try:
                for cells, failed in self.found(shard, start):
                    yield Raw((shard << 32) + start, cells, failed)
                    start, tries = start + 1, 0
                return
            except (OSError, HTTPException) as error:
                tries += 1
                if _lasts(error) or tries == TRIES:
                    why = f"{self.shards[shard]}: can't be read after {start:,} samples: {one_line(error)}"
                    raise Unreachable(f"{why}, asked {tries} times" if tries > 1 else why) from None
                time.sleep(WAIT * 2 ** (tries - 1))

    def load(self, raw: Raw) -> tuple[Sample, list[tuple[str, Exception]]]:
        """See `StreamReader`."""
        data: dict[str, Any] = {}
        failed = list(raw.failed)
        for modality in self.columns:
            try:
                if (cells := self.cells_of(modality, raw.cells)) is not None:
                    data[modality] = self._modalities[modality].load(cells, self.root)
            except Exception as error:
                failed.append((modality, error))
        meta: dict[str, float | int] = {}
        for name, kind in self.meta.items():
            try:
                value = number(raw.cells.get(self._meta[name]))
                if isinstance(value, float) and kind.kind == "i":
                    raise DataError(f"{value} in a column of whole numbers")
            except DataError as error:
                value = None
                failed.append((name, error))
            if kind.kind == "f":
                meta[name] = float("nan") if value is None else float(value)
            else:
                meta[name] = -1 if value is None else int(value)
        return Sample(raw.id, data, meta), failed

    def cells_of(self, modality: str, cells: Mapping[str, Any]) -> dict[str, Any] | None:
        """The cells that a modality is loaded from, None where they are all blank."""
        own = {column: cells.get(column) for column in self.columns[modality]}
        return own if any(value is not None for value in own.values()) else None

    def cells(self, modality: str) -> Iterable[Mapping[str, Any]]:
        """The raw cells of a modality of all samples that have it, which reads the stream each time one iterates."""
        return _Cells(self, modality)

    def all(self) -> Iterator[Raw]:
        """All rows once, in the order of the shards; where a shard is damaged, its rest is left out, with a warning."""
        for shard in range(len(self.shards)):
            try:
                yield from self.rows(shard)
            except Unreachable:
                raise
            except DataError as error:
                warn(str(error))

    def __iter__(self) -> Iterator[Sample]:
        for raw in self.all():
            sample, failed = self.load(raw)
            for what, error in failed:
                raise_if_fatal(error, f"modality {what!r}")
            yield sample

    def fingerprint(self) -> str:
        """A digest of the shards' names and of which columns are read."""
        said = repr((self.shards, sorted(self.columns.items()), sorted(self._meta.items())))
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        self._no_positions()

    def __getitem__(self, position: int) -> Sample:
        self._no_positions()

    def _no_positions(self) -> NoReturn:
        raise NoPositions(
            f"{self.shards[0]}: a stream can only be read from its beginning, and this needs its length or samples by "
            "position: write it down once by contrapose pack"
        )

    def _named(self, modality: str, spec: str | Sequence[str] | None, names: Sequence[str]) -> tuple[str, ...]:
        if modality not in self._modalities:
            raise ConfigError(f"unknown modality{did_you_mean(modality, self._modalities)}", ("modalities", modality))
        own = (modality,) if spec is None else (spec,) if isinstance(spec, str) else tuple(spec)
        for name in own:
            _require(name, names, ("modalities", modality))
        return own


@dataclass(frozen=True)
class _Cells:
    reader: RowStream
    modality: str

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        rows = (self.reader.cells_of(self.modality, raw.cells) for raw in self.reader.all())
        return (cells for cells in rows if cells is not None)


def _lasts(error: Exception) -> bool:
    """Whether a server, or the disk, would say the same again: there is no such thing, or it may not be read."""
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return True
    for said in (error, error.__cause__):  # urllib and gcsfs have a code, aiohttp a status, huggingface_hub a response
        answer = getattr(said, "response", None)
        for code in (getattr(said, "code", None), getattr(said, "status", None), getattr(answer, "status_code", None)):
            if isinstance(code, int):
                return 300 <= code < 500 and code not in PASSING
    return False


def number(value: Any) -> float | int | None:
    """A cell as a number, as `encode` has it; text, and a file's name, as ``ident`` of it. Raises `DataError`."""
    text = value.name if isinstance(value, NamedBytes) else value
    if value is None:
        return None
    try:
        found: float | int = (
            ident(text) if isinstance(text, str) else encode(pa.chunked_array([pa.array([value])]))[0][0].item()
        )
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        raise DataError(f"{type(value).__name__} can't serve as a number or a label: {one_line(error)}") from None
    return found


def _require(column: str, names: Sequence[str], path: tuple[str, ...]) -> None:
    if column not in names:
        raise ConfigError(f"the stream's first samples have no column {column!r}{did_you_mean(column, names)}", path)
