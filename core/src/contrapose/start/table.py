"""A table of one's own: which modality reads which of its columns, and what the others are good for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from contrapose.data.cache import arrow_file
from contrapose.data.table import map_table
from contrapose.start.found import LEAST, SEEN, Claim, Found, ask, extensions
from contrapose.types import Modality

NAMES = {
    "split": ("split", "subset", "partition"),
    "label": ("label", "labels", "class", "category", "target"),
    "group": ("group", "groups"),
    "id": ("id", "ids", "index", "uuid", "unnamed: 0", ""),
}
"""By what name a column tells that it is no modality; what it holds must agree."""


def look_at_table(path: Path, modalities: Mapping[str, Modality], small: bool) -> Found:
    """Show the modalities the first values of each column, those of file names only to who reads such files."""
    table = map_table(arrow_file(path))
    roles = _roles(table)
    values = {c: first(table.column(c)) for c in table.schema.names if c not in roles.values()}
    known = {e for m in modalities.values() for e in extensions(m)}
    files = {c: found for c, v in values.items() if (found := suffixes(v, path.parent, known))}
    claims: dict[str, Claim] = {}
    notes = []
    free = dict(values)
    # Who reads files is sure of them, so they come first.
    for name, modality in sorted(modalities.items(), key=lambda item: not extensions(item[1])):
        shown = {c: v for c, v in free.items() if c not in files or files[c] & {*extensions(modality)}}
        suggestion = ask(modality, shown, path.parent, small)
        if suggestion is None:
            continue
        columns = suggestion.columns
        has = np.logical_or.reduce([table.column(c).is_valid().to_numpy() for c in columns])
        if has.sum() < LEAST:
            notes.append(f"only {has.sum()} rows have {', '.join(columns)}, left out: too few to learn {name} from")
            continue
        claims[name] = Claim(columns, has, suggestion.views, suggestion.encoder)
        free = {c: v for c, v in free.items() if c not in columns}
    notes += [
        f"{column} names files ({' '.join(sorted(files[column]))}) that no modality takes"
        for column in free
        if column in files
    ]
    labels = {} if "label" in roles else {c: count for c in values if (count := _classes(table.column(c)))}
    return Found(
        path,
        "table",
        things=len(table),
        modalities=claims,
        meta={role: roles[role] for role in ("label", "group") if role in roles},
        split=_split(roles),
        labels=labels,
        unused=[*free, *([roles["id"]] if "id" in roles else [])],
        notes=notes,
    )


def first(column: pa.ChunkedArray) -> list[Any]:
    """The first values that aren't blank, as a modality meets them."""
    values: list[Any] = []
    for chunk in column.chunks:
        values += [v for v in chunk.drop_null()[: SEEN - len(values)].to_pylist() if v != ""]
        if len(values) >= SEEN:
            break
    return values


def suffixes(values: Sequence[Any], root: Path, known: set[str]) -> set[str]:
    """The suffixes of the files that a column names; none where it names none.

    Names are told by a suffix that some modality reads, or by a file that lies there.
    """
    if not values or not all(isinstance(v, str) for v in values):
        return set()
    found = [PurePath(v).suffix.lower() for v in values]
    if sum(suffix in known for suffix in found) > 0.9 * len(found) or os.path.isfile(root / values[0]):
        return {suffix for suffix in found if suffix}
    return set()


def _roles(table: pa.Table) -> dict[str, str]:
    """The columns that are told by their name, and by what they hold, to be no modality."""
    suits = {
        "split": lambda c: (
            not c.null_count and {"train", "test"} <= {str(v) for v in c.unique().slice(0, 100).to_pylist()}
        ),
        "label": lambda c: 1 < _distinct(c) <= len(c) / 2,
        "group": lambda c: 1 < _distinct(c) < len(c),
        "id": lambda c: _distinct(c) == len(c),
    }
    found: dict[str, str] = {}
    for column in table.schema.names:
        role = next((r for r, names in NAMES.items() if column.strip().lower() in names), None)
        if role is not None and role not in found and suits[role](table.column(column)):
            found[role] = column
    return found


def _split(roles: Mapping[str, str]) -> dict[str, Any]:
    if "split" in roles:
        return {"column": roles["split"]}
    by = {"by": roles["group"]} if "group" in roles else {}
    return {**by, "test": 0.2, "seed": 0}


def _classes(column: pa.ChunkedArray) -> int:
    """The number of values of a column that may serve as a label; 0 where it can't."""
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind)):
        return 0
    count = _distinct(column)
    return count if 2 <= count <= min(50, len(column) // 5) else 0


def _distinct(column: pa.ChunkedArray) -> int:
    """Distinct values that aren't blank; 0 for what isn't a plain value."""
    kind = column.type
    if not (pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return 0
    return int(pc.count_distinct(column).as_py())
