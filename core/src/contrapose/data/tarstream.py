"""Tar shards read from their beginning: compressed ones, and those at an address."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Annotated, Any, Self, cast

import pyarrow as pa
from pydantic import Field

from contrapose.data.address import check_address, open_address
from contrapose.data.cells import NOWHERE, NamedBytes
from contrapose.data.shards import ADDRESS, expand, shards_of
from contrapose.data.stream import Found, RowStream
from contrapose.data.table import Columns, as_cell
from contrapose.data.tar import TarReader
from contrapose.data.tarindex import PARSED, Header, parsed, split_name
from contrapose.errors import ConfigError, DataError
from contrapose.types import Modality

BUFFER = 1 << 17
"""Bytes that are asked for at a time."""
GZIP = b"\x1f\x8b"


def webdataset(
    path: str,
    modalities: Mapping[str, Modality],
    columns: Columns,
    meta: Mapping[str, str] | None = None,
    vocabularies: Mapping[str, Sequence[str]] | None = None,
    base: Path | None = None,
    streaming: bool = False,
    samples: Annotated[int, Field(ge=1)] | None = None,
) -> TarReader | TarStream:
    """Samples from tar shards, by position from local files, or ``streaming`` from anywhere.

    Args:
        path: a file, or several as ``data/{000..099}.tar`` or ``data/*.tar``; streaming, an address too, and compressed tars.
        base: the folder that a relative path starts from, if it is there.
        streaming: read each shard from its beginning, whatever it lies on.
        samples: how many samples of a stream an epoch counts; without it ``train.steps`` is one epoch.
    """
    if streaming:
        return TarStream(path, modalities, columns, meta, base, samples)
    if samples is not None:
        raise ConfigError("is for streams: data by position know their number", ("samples",))
    return TarReader(path, modalities, columns, meta, vocabularies, base)


class TarStream(RowStream):
    """Samples from tar shards in the order of their files, as `TarReader` names columns; a thing's files follow one another.

    Shards may be compressed as ``tarfile`` knows it (gz, bz2, xz). ``https:`` is read by Python itself, other addresses by
    ``fsspec``, which comes with torch and wants a package for each (``s3fs``). Raises as `RowStream` does.
    """

    def __init__(
        self,
        path: str,
        modalities: Mapping[str, Modality],
        columns: Columns,
        meta: Mapping[str, str] | None = None,
        base: Path | None = None,
        samples: int | None = None,
    ) -> None:
        away = re.match(ADDRESS, path) is not None
        self._addresses = expand(path) if away else [str(file) for file in shards_of(path, base)]
        for address in self._addresses:
            check_address(address)
        specs = [[spec] if isinstance(spec, str) else spec for spec in columns.values() if spec is not None]
        self._kept = {column for spec in specs for column in spec}
        # Their names in messages: what follows a question mark may be a key that nobody else should read.
        super().__init__([a.partition("?")[0] for a in self._addresses], modalities, columns, meta, samples)
        if away:
            self.root = NOWHERE

    def found(self, shard: int, start: int) -> Iterator[Found]:
        """See the base class."""
        number = -1
        with open_address(self._addresses[shard]) as file:
            try:
                packed = io.BufferedReader(cast(io.RawIOBase, file), BUFFER)
                # tarfile's own gz looks at no checksum, which stands at the end
                plain = gzip.GzipFile(fileobj=packed) if packed.peek(2)[:2] == GZIP else packed
                with tarfile.open(fileobj=plain, mode="r|*" if plain is packed else "r|", tarinfo=_Strict) as tar:
                    thing: Found | None = None
                    key = None
                    for member in tar:
                        tar.members = []  # type: ignore[attr-defined]  # else it keeps all headers
                        own, suffix = split_name(member.name)
                        if not suffix or not member.isreg() or member.issparse():
                            continue
                        if own != key:
                            if thing is not None:
                                yield self._joined(thing)
                            key, number = own, number + 1
                            cells = {"__key__": own, "__url__": self.shards[shard].rpartition("/")[2]}
                            thing = (cells, []) if number >= start else None
                        if thing is not None:
                            _add(thing, member.name, suffix, cast(IO[bytes], tar.extractfile(member)).read())
                    while plain is not packed and plain.read(1 << 16):
                        pass
                    if thing is not None:
                        yield self._joined(thing)
            except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
                if getattr(file, "length", None):  # the server promised more
                    raise ConnectionError("the connection broke off") from error
                at = f"after {number:,} samples" if number > 0 else "from its first sample on"
                raise DataError(f"{self.shards[shard]}: cut short or damaged {at}: {error}") from None

    def _joined(self, thing: Found) -> Found:
        """The thing, where a modality that was given no column has one of its own: the first file that it reads."""
        cells, failed = thing
        for modality in (m for m, spec in self._said.items() if spec is None and m not in cells):
            extensions = getattr(self._modalities.get(modality), "extensions", ())
            taken = [c for c in cells if f".{c.rpartition('.')[2].lower()}" in extensions]
            if taken:
                cells[modality] = cells[taken[0]]
            for column in set(taken) - self._kept:
                del cells[column]
        return cells, failed


class _Strict(Header):
    """A member's header, where one that is cut short or damaged is no end of the archive: that would pass in silence."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise
            raise tarfile.ReadError(str(error)) from None


def _add(thing: Found, name: str, suffix: str, content: bytes) -> None:
    cells, failed = thing
    try:
        found = parsed(suffix, content) if suffix in PARSED else {suffix: NamedBytes(content, name)}
    except ValueError as error:
        failed.append((suffix, DataError(f"{name}: can't be parsed: {error}")))
        return
    if twice := cells.keys() & found.keys():
        failed.append((suffix, DataError(f"{name}: there is {min(twice)!r} twice")))
    for column, value in found.items():
        cells.setdefault(column, _as_table(value) if isinstance(value, list) else value)


def _as_table(value: list[Any]) -> Any:
    """A list as a table gives it: an array, where it is one of numbers."""
    try:
        return as_cell(pa.scalar(value))
    except (pa.ArrowException, OverflowError, UnicodeError):
        return value
