"""Where the files in tar shards lie, found by reading the shards' headers."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from contrapose.config.json import parse
from contrapose.data.cache import Made
from contrapose.errors import DataError, warn

MEMBER = pa.struct([("shard", pa.int32()), ("offset", pa.int64()), ("size", pa.int64()), ("path", pa.string())])
"""Where a file lies: in which shard, from which byte on, of what size, under what name."""
PARSED = ("json", "cls")
"""Files that are read with the index, and are columns of values from then on."""
MOST = 1 << 31
"""Bytes of a file in a tar."""
MOST_SAID = 1 << 20
"""Bytes of what the next file's header is said to be: a long name, or any of pax's facts."""
MOST_SAYINGS = 16
"""Headers in a row that say something of the next; of pax's and GNU's kinds together there are 4."""
SAYINGS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class Header(tarfile.TarInfo):
    """A member's header, as a stranger may have written it: what can't be, or is past ``MOST``, is a ``tarfile.ReadError``."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Limits hold before tarfile reads what a long name claims to be."""
        return super().frombuf(buf, encoding, errors)._within_limits()

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        """Limits hold again, as pax gives sizes of its own, and for what tarfile reads from within itself: headers of headers."""
        deep = getattr(tar, "deep", 0)
        if deep > MOST_SAYINGS:
            raise tarfile.ReadError(f"more than {MOST_SAYINGS} headers say what the next one means")
        tar.deep = deep + 1  # type: ignore[attr-defined]
        try:
            return super().fromtarfile(tar)._within_limits()
        except (ValueError, OverflowError) as error:  # a number that is none
            raise tarfile.ReadError(f"a header that can't be read ({type(error).__name__})") from None
        finally:
            tar.deep = deep  # type: ignore[attr-defined]

    def _within_limits(self) -> Self:
        most = MOST_SAID if self.type in SAYINGS else MOST
        if not 0 <= self.size <= most:
            raise tarfile.ReadError(f"the size of {self.name[:60]!r} isn't from 0 to {most:,} bytes")
        return self


def index_of(shards: Sequence[Path]) -> Made:
    """A row for each thing: where its files lie, by suffix, and what its parsed files say.

    Raises `DataError` for a shard that is compressed, cut short, or no tar.
    """
    broken: list[str] = []
    tables = []
    for number, shard in enumerate(shards):
        try:
            tables.append(_table(_things(shard, number, broken), shard))
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            raise DataError(f"{shard}: can't be read as tar, or is cut short: {error}") from None
        except OSError as error:
            raise DataError(f"{shard}: {error.strerror or error}") from None
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowException, RecursionError) as error:
        raise DataError(f"the .json files of {shards[0].name} and others mix types in a key: {error}") from None
    if broken:
        warn(f"{len(broken):,} files can't be parsed, so what they tell is blank; the first: {broken[0]}")
    digest = hashlib.blake2b(digest_size=16)
    for batch in table.to_batches(max_chunksize=1 << 16):
        digest.update(repr(batch.to_pydict()).encode())
    return table.schema, iter(table.to_batches(max_chunksize=1 << 16)), digest.hexdigest()


def _things(shard: Path, number: int, broken: list[str]) -> list[dict[str, Any]]:
    """What each thing of a shard has, by column, in the order of their first files."""
    things: dict[str, dict[str, Any]] = {}
    with open(shard, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise DataError(
                f"{shard}: compressed, so that nothing in it can be read at random; unpack it to a plain .tar, or read it from "
                "its beginning, by data: {use: webdataset, path: ..., streaming: true}"
            )
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:", tarinfo=Header) as tar:
            last = -1
            for member in tar:
                if member.offset <= last:
                    raise DataError(f"{shard}: damaged at byte {member.offset:,}: {member.name[:60]!r} goes backwards")
                last = member.offset
                key, suffix = split_name(member.name)
                if not suffix or not member.isreg() or member.issparse():
                    continue
                thing = things.setdefault(key, {"__key__": key, "__url__": shard.name})
                if suffix in PARSED:
                    content = tar.extractfile(member)
                    assert content is not None
                    try:
                        found = parsed(suffix, content.read())
                    except ValueError as error:
                        broken.append(f"{shard.name}: {member.name}: {error}")
                        continue
                else:
                    place = {"shard": number, "offset": member.offset_data, "size": member.size, "path": member.name}
                    found = {suffix: place}
                if twice := thing.keys() & found.keys():
                    raise DataError(f"{shard}: {key} has {min(twice)!r} twice")
                thing |= found
            end = tar.offset
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise DataError(f"{shard}: cut short or damaged at byte {end:,}, where its end or a file should be")
    return list(things.values())


def split_name(name: str) -> tuple[str, str]:
    """A file's name up to the first dot of its last part, and what follows; hidden files have no suffix."""
    folder, slash, file = name.rpartition("/")
    stem, _, suffix = file.partition(".")
    return f"{folder}{slash}{stem}", suffix if stem else ""


def parsed(suffix: str, content: bytes) -> dict[str, Any]:
    """The columns that a parsed file gives. Raises ``ValueError``."""
    if suffix == "cls":
        return {"cls": int(content)}
    found = parse(content)
    if not isinstance(found, dict):
        raise ValueError("not an object {column: value}")
    if any(isinstance(value, dict) and value.keys() == {f.name for f in MEMBER} for value in found.values()):
        raise ValueError("a value that would pass for the place of a file")
    return {name: value for name, value in found.items() if not name.startswith("__")}


def _table(things: Sequence[dict[str, Any]], shard: Path) -> pa.Table:
    names = dict.fromkeys(name for thing in things for name in thing)
    columns = {}
    for name in names:
        values = [thing.get(name) for thing in things]
        files = [value for value in values if isinstance(value, dict) and value.keys() == {f.name for f in MEMBER}]
        try:
            columns[name] = pa.array(values, MEMBER if files else None)
        except (pa.ArrowException, TypeError, OverflowError, UnicodeEncodeError) as error:
            raise DataError(f"{shard}: its files don't agree on what {name!r} is: {error}") from None
    try:
        return pa.table(columns)
    except UnicodeEncodeError as error:
        raise DataError(f"{shard}: a key holds half a character, {error.object!r:.40}: not UTF-8") from None
