"""Tables converted once to Arrow files that can be memory-mapped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from contrapose.data.formats import open_stream
from contrapose.errors import DataError

DIGEST = b"contrapose_digest"
_VERSION = 1  # raise it when the way of conversion changes


def cache_folder() -> Path:
    """``CONTRAPOSE_CACHE``, or ``contrapose`` in ``XDG_CACHE_HOME``, or in ``~/.cache``."""
    if own := os.environ.get("CONTRAPOSE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contrapose"


def arrow_file(path: Path) -> Path:
    """The cached Arrow file of a table, made in a stream where there is none for this path, size and time.

    Its schema's metadata holds the digest of the source's bytes. Raises `DataError` for a table that can't be read,
    is empty, or for a cache that can't be written.
    """

    def made() -> Made:
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "blake2b").hexdigest()[:32]
        except OSError as error:  # a folder, or a file that mayn't be read
            raise DataError(f"{path}: {error.strerror}") from None
        return *open_stream(path), digest

    return cached(str(path), [path], made)


Made = tuple[pa.Schema, Iterator[pa.RecordBatch], str]
"""A table to keep: its schema, its batches, and the digest of what it was made from."""


def cached(what: str, files: Sequence[Path], make: Callable[[], Made]) -> Path:
    """The Arrow file of the table that ``make`` makes of ``files``, made where there is none for their paths, sizes and times.

    ``what`` names the source in messages. Raises `DataError` for a source that is missing, empty or nested too deeply, or a
    cache that can't be written.
    """
    facts = [_facts(file) for file in files]
    folder = cache_folder() / "tables"
    name = _digest("\n".join(str(file.resolve()) for file in files))
    target = folder / f"{name}-{_digest(' '.join([str(_VERSION), *facts]))}.arrow"
    if target.exists():
        return target
    schema, batches, digest = make()
    partial = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=folder, suffix=".partial")
        rows = 0
        with os.fdopen(handle, "wb") as sink, pa.ipc.new_file(sink, schema.with_metadata({DIGEST: digest})) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        if not rows:
            raise DataError(f"{what}: the table has no rows")
        for old in {*folder.glob(f"{name}-*.arrow")} - {target}:
            with contextlib.suppress(OSError):
                old.unlink()
        os.replace(partial, target)
    except pa.ArrowException as error:  # lists of lists of lists
        raise DataError(f"{what}: can't be kept as a table: {' '.join(str(error).split())[:200]}") from None
    except OSError as error:
        raise DataError(f"can't write the cache {folder}: {error.strerror or error}; set CONTRAPOSE_CACHE") from None
    finally:
        if partial is not None:
            with contextlib.suppress(OSError):
                os.unlink(partial)
    return target


def _facts(file: Path) -> str:
    try:
        found = file.stat()
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    return f"{found.st_size} {found.st_mtime_ns}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
