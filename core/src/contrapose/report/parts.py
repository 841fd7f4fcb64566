"""A run's embeddings of large data: a folder of parts, written by any number of processes, which a restart goes on with."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from contrapose.config.json import parse
from contrapose.errors import DataError
from contrapose.report.embeddings import Head, Written, embedded, open_data, write_whole

if TYPE_CHECKING:
    from contrapose.engine.run import Run

SAID = "_embed.json"
"""What the parts are of; readers of Parquet folders pass over names that begin like this."""


@dataclass
class PartsWritten(Written):
    """What this process wrote: ``done`` parts, beside ``kept`` ones of its share that were there; ``total`` is of all processes."""

    done: int = 0
    kept: int = 0
    total: int = 0


def write_parts(
    run: Run,
    data: Path,
    folder: Path,
    head: Head = "pooled",
    batch_size: int = 256,
    part_rows: int = 16384,
    rank: int = 0,
    world: int = 1,
) -> PartsWritten:
    """Embed this process's share of ``data`` into ``folder``: a Parquet file for every ``part_rows`` rows, as
    ``write_embeddings`` writes one.

    Process ``rank`` of ``world`` takes the rank-th contiguous share of the parts; they are the same whatever the number of
    processes. A part is written whole or not at all, and one that is there is not made again, so that a killed job goes on when it
    is started anew. Raises ``DataError`` where the folder holds something else, parts of another run or of other data.
    """
    reader = open_data(run, data)
    rows = len(reader)
    total = -(-rows // part_rows)
    said = {"data": reader.fingerprint(), "weights": _weights(run), "head": head, "rows": rows, "part_rows": part_rows}
    _claim(folder, said)
    out = PartsWritten(total=total)
    for number in range(total * rank // world, total * (rank + 1) // world):
        file = folder / f"part-{number:05}-of-{total:05}.parquet"
        start, stop = number * part_rows, min(rows, (number + 1) * part_rows)
        if _is_whole(file, stop - start):
            out.kept += 1
            continue
        table, written = embedded(run, reader, start, stop, head, batch_size)
        write_whole(table, file)
        out.done += 1
        out.rows += written.rows
        out.counts = {m: n + out.counts.get(m, 0) for m, n in written.counts.items()}
        out.sizes = written.sizes
        out.skipped += written.skipped
    return out


def _weights(run: Run) -> str:
    """A digest of the weights, so that parts of two checkpoints don't meet in one folder."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(run.method.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _claim(folder: Path, said: dict[str, Any]) -> None:
    """Write what the parts are of, or see that it is the same. All processes may do so at a time."""
    file = folder / SAID
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if file.exists():
            before = parse(file.read_text(encoding="utf-8"))
            for key, value in said.items():
                if before.get(key) != value:
                    raise DataError(
                        f"{folder} holds embeddings of other {key} ({before.get(key)}); choose another folder"
                    )
        elif any(not f.name.startswith(".") for f in folder.iterdir()) and not file.exists():
            raise DataError(f"{folder} holds something already; choose another folder")
        else:
            temp = folder / f".{SAID}.{os.getpid()}"
            temp.write_text(json.dumps(said, indent=1), encoding="utf-8")
            os.replace(temp, file)
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"can't use {folder}: {getattr(error, 'strerror', None) or error}") from None


def _is_whole(file: Path, rows: int) -> bool:
    try:
        return bool(pq.read_metadata(file).num_rows == rows)
    except (OSError, pa.ArrowException):
        return False
