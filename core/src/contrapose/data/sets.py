"""Opening several datasets, each by those of the run's columns that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrapose.config.schema import DatasetConfig, SplitConfig, validate
from contrapose.data.open import open_reader
from contrapose.data.table import Columns, LacksColumn
from contrapose.errors import ConfigError, did_you_mean, warn
from contrapose.types import Modality, Reader, StreamReader

DATASET = "dataset"
"""The column of ``meta`` that holds the number of a sample's dataset."""


@dataclass(frozen=True)
class OneOf:
    """A dataset among several: by modality that it has, its columns as the run calls them; its own ``meta`` and ``split``."""

    reader: Reader
    called: dict[str, tuple[str, ...]]
    meta: dict[str, str]
    split: SplitConfig | str | None


def open_sets(
    of: Mapping[str, Any],
    modalities: Mapping[str, Modality],
    columns: Columns,
    meta: Mapping[str, str],
    vocabularies: Mapping[str, Sequence[str]] | None,
    base: Path | None,
) -> dict[str, OneOf]:
    """Open datasets by name. Raises `ConfigError` or `DataError`."""
    if not of:
        raise ConfigError("name the datasets: {furniture: furniture.parquet, ...}", ("of",))
    found = {}
    for name, node in of.items():
        said = node if isinstance(node, Mapping) and "use" not in node else {"data": node}
        one: DatasetConfig = validate(dict(said), DatasetConfig, ("of", name))
        if DATASET in (*meta, *one.meta):
            raise ConfigError(f"meta.{DATASET} is the number of a sample's dataset here; give it another name", ("of",))
        found[name] = _open(name, one, modalities, columns, meta, vocabularies, base)
    for modality in columns:
        if not any(modality in one.called for one in found.values()):
            raise ConfigError(
                f"none of the datasets has a column for {modality}: "
                f"{', '.join(f'{c!r}' for c in _names(columns, modality))}",
                ("of",),
            )
    return found


def _open(
    name: str,
    one: DatasetConfig,
    modalities: Mapping[str, Modality],
    columns: Columns,
    meta: Mapping[str, str],
    vocabularies: Mapping[str, Sequence[str]] | None,
    base: Path | None,
) -> OneOf:
    for own in one.modalities:
        if own not in columns:
            raise ConfigError(
                f"it is none of the run's modalities{did_you_mean(own, columns)}", ("of", name, "modalities", own)
            )
    stream = ConfigError("a stream can't be one of several datasets; write it down by contrapose pack", ("of", name))
    if isinstance(one.data, Mapping) and one.data.get("streaming"):
        raise stream
    wanted: dict[str, Any] = {"modalities": {**columns, **one.modalities}, "meta": {**meta, **one.meta}}
    called = {m: _called(columns, one.modalities, m) for m in columns}
    loaders = {m: _Renaming(made, called[m]) if m in one.modalities else made for m, made in modalities.items()}
    while True:
        try:
            reader = open_reader(one.data, loaders, wanted["modalities"], wanted["meta"], vocabularies, base)
            break
        except LacksColumn as error:
            section, lacking = error.path[-2:]
            if lacking in getattr(one, str(section)):
                raise ConfigError(error.message, ("of", name, section, lacking)) from None
            del wanted[str(section)][lacking]
            if not wanted["modalities"]:
                raise ConfigError(f"it has none of the run's modalities: {error.message}", ("of", name)) from None
        except ConfigError as error:
            raise ConfigError(error.message, ("of", name, *error.path)) from None
    if isinstance(reader, StreamReader):
        raise stream
    there = getattr(reader, "column_names", ())
    for modality in columns.keys() - wanted["modalities"].keys():
        if partly := [c for c in _names(columns, modality) if c in there]:
            warn(f"{name} has {', '.join(partly)} alone of the columns of {modality}, which is left out")
    return OneOf(reader, {m: names for m, names in called.items() if m in wanted["modalities"]}, one.meta, one.split)


def _names(columns: Columns, modality: str) -> tuple[str, ...]:
    said = columns[modality]
    return (modality,) if said is None else (said,) if isinstance(said, str) else tuple(said)


def _called(columns: Columns, own: Columns, modality: str) -> tuple[str, ...]:
    """A modality's columns as the run calls them, where a dataset's own stand for them one by one; else as they are."""
    run = _names(columns, modality)
    mine = _names(own, modality) if modality in own else run
    return run if len(mine) == len(run) else mine


class _Renaming:
    """A modality that meets the cells of a dataset's own columns under the run's names."""

    def __init__(self, modality: Modality, names: Sequence[str]) -> None:
        self._modality, self._names = modality, names

    def load(self, cells: Mapping[str, Any], root: Path) -> Any:
        return self._modality.load(dict(zip(self._names, cells.values(), strict=True)), root)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self._modality, name)
