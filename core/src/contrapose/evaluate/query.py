"""What is searched for: words, a file, values, or a row of the data, as one sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contrapose.config import yaml
from contrapose.data.failure import one_line, raise_if_fatal
from contrapose.data.samples import read_sample, sample_ids
from contrapose.errors import ConfigError, DataError, did_you_mean
from contrapose.types import Reader, Sample

if TYPE_CHECKING:
    from contrapose.engine.build import Parts

ROW = "row"
"""The key of a query that is a thing of the data, by its id."""

NOWHERE = -1
"""The id of a query that is no row of the data."""


def parse_query(said: Sequence[str], columns: Mapping[str, Any]) -> dict[str, Any]:
    """A query as it is typed, ``["text=a chair", "row=17", "table={width: 60}"]``, to what ``search`` takes.

    ``columns`` is ``run.parts.columns``. A value in braces is YAML where the modality has several columns, or where its keys
    are columns; anything else is a cell as it stands. Raises ``ConfigError``.
    """
    query: dict[str, Any] = {}
    for text in said:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--query {text}: write KEY=VALUE, a modality of the run or {ROW!r} before the sign")
        if key in query:
            raise ConfigError(f"--query {key} is given twice")
        query[key] = _row(value) if key == ROW else _value(key, value, _names(key, columns.get(key)))
    return query


def query_sample(
    parts: Parts, reader: Reader, query: Mapping[str, Any], from_: Sequence[str] = (), root: Path | None = None
) -> Sample:
    """The query as a sample, whose id is its row's, else ``NOWHERE``.

    Args:
        parts: of the run; its modalities load the cells.
        reader: the data that hold the row.
        query: by modality a cell, or a mapping from columns to cells; under ``row`` the id of a sample.
        from_: the modalities of the row that count; all that it has, if left out.
        root: where relative paths start from; by default the working folder.

    Raises:
        ConfigError: an unknown modality or column, or nothing is asked.
        DataError: the row isn't there or lacks a modality, or something can't be read.
    """
    require_known(parts, [key for key in query if key != ROW])
    require_known(parts, from_)
    if not query:
        raise ConfigError(f"give a query: KEY=VALUE, say {next(iter(parts.columns))}=..., or {ROW}=ID")
    if from_ and ROW not in query:
        raise ConfigError(f"--from says which modalities of a row count, and no {ROW} is asked for")
    data = {m: _loaded(parts, m, value, root or Path.cwd()) for m, value in query.items() if m != ROW}
    if ROW not in query:
        return Sample(NOWHERE, data)
    row = int(query[ROW])
    of_row = _seen(reader, row, from_)
    if twice := data.keys() & of_row.keys():
        raise ConfigError(f"{min(twice)} is given twice, by itself and by row {row}; choose the row's with --from")
    return Sample(row, of_row | data)


def require_known(parts: Parts, names: Sequence[str]) -> None:
    """Raise ``ConfigError`` for the first name that is no modality of the run."""
    known = list(parts.columns)
    for name in names:
        if name not in known:
            near = did_you_mean(name, [*known, ROW])
            hint = near if "did you mean" in near else ""
            raise ConfigError(f"the run has no modality {name!r}, only {', '.join(known)}{hint}")


def _row(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"--query {ROW}={value}: a row is a whole number, counted from 0") from None


def _value(modality: str, value: str, columns: Sequence[str]) -> Any:
    if not value.startswith("{"):
        return value
    try:
        cells = yaml.parse(value, f"--query {modality}").data
    except ConfigError:
        if len(columns) > 1:
            raise
        return value
    return cells if len(columns) > 1 or set(cells) <= set(columns) else value


def _names(modality: str, columns: Any) -> list[str]:
    return [modality] if columns is None else [columns] if isinstance(columns, str) else list(columns)


def _loaded(parts: Parts, modality: str, value: Any, root: Path) -> Any:
    columns = _names(modality, parts.columns[modality])
    if isinstance(value, Mapping):
        for name in value:
            if name not in columns:
                raise ConfigError(f"{modality} has no column {name!r}{did_you_mean(str(name), columns)}")
    elif len(columns) > 1:
        example = f"{modality}={{{columns[0]}: ..., {columns[1]}: ...}}"
        raise ConfigError(f"{modality} is made of {len(columns)} columns; give values of some of them, {example}")
    else:
        value = {columns[0]: value}
    cells = {name: _cell(value.get(name)) for name in columns}
    if all(cell is None for cell in cells.values()):
        raise ConfigError(f"the query's {modality} is empty")
    if len(cells) == 1 and isinstance(path := next(iter(cells.values())), str):
        root, cells = _outside(path, root, columns[0])
    try:
        return parts.modalities[modality].load(cells, root)
    except Exception as error:
        raise_if_fatal(error, f"the query's {modality}")
        raise DataError(f"the query's {modality} can't be read: {one_line(error)}") from error


def _outside(cell: str, root: Path, column: str) -> tuple[Path, dict[str, Any]]:
    """A manifest's paths mustn't leave its folder, but a query's may: then its own folder is the root."""
    path = Path(cell).expanduser()
    if (path.is_absolute() or ".." in path.parts) and (root / path).is_file():
        return (root / path).parent, {column: path.name}
    return root, {column: cell}


def _cell(value: Any) -> Any:
    """As a manifest's: nothing for a blank, lists of numbers as arrays."""
    if isinstance(value, str):
        return value if value.strip() else None
    return np.asarray(value) if isinstance(value, list) else value


def _seen(reader: Reader, row: int, from_: Sequence[str]) -> dict[str, Any]:
    at = {int(i): position for position, i in enumerate(sample_ids(reader))}
    if row not in at:
        raise DataError(f"there is no row {row} among these {len(at):,}, from {min(at)} to {max(at)}")
    sample, failed = read_sample(reader, at[row])
    why = {modality: one_line(error) for modality, error in failed}
    for modality in from_:
        if modality in why:
            raise DataError(f"row {row} has no {modality} that can be read: {why[modality]}")
        if modality not in sample.data:
            raise DataError(f"row {row} has no {modality}; it has {', '.join(sample.data) or 'nothing'}")
    if not sample.data:
        raise DataError(f"row {row} has nothing that can be read{''.join(f'; {m}: {w}' for m, w in why.items())}")
    return {modality: data for modality, data in sample.data.items() if not from_ or modality in from_}
