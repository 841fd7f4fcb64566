"""The modality: from a row's cells to numbers and codes, to a batch, to something to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrapose.data.table import as_cell
from contrapose.errors import ConfigError, DataError, warn
from contrapose.types import Suggestion
from contrapose_tabular.cells import is_blank
from contrapose_tabular.columns import by_column
from contrapose_tabular.drift import first_rows, require_alike, strangers
from contrapose_tabular.infer import Type, infer
from contrapose_tabular.schema import UNSEEN, Schema, said

Row = dict[str, NDArray[Any]]


class Tabular:
    """Rows: ``numeric`` (F,) float32, standardised, NaN where missing, and ``categories`` (C,) int64, codes of the schema.

    The schema is fitted on the training split: numbers are numeric, text and booleans categorical. A category is coded 0 where
    the cell is blank, 1 where the training split lacks the word, and from 2 by its place among the sorted words. A date or time
    is a number, its seconds, and categories of what comes round: month, weekday and, where there are times of day, hour.

    Args:
        types: columns that are meant otherwise, ``{floor: categorical, sold: time, code: id}``.
    """

    name = "tabular"
    dtype = torch.float32

    def __init__(self, types: Mapping[str, Type] | None = None) -> None:
        self.types = dict(types or {})
        self.schema: Schema | None = None
        self._beside: list[str] = []  # all columns that the training data have, whoever reads them
        self._told: set[str] = set()

    def fit(self, cells: Iterable[Mapping[str, Any]], root: Path = Path()) -> None:
        """Settle the schema by the cells of the training split. Raises ``ConfigError`` as ``infer`` does."""
        self.schema = infer(cells, self.types)
        again = iter(cells) is not cells  # else there is nothing left to look at
        if (
            again
            and self.schema.constant
            and not any(is_blank(row.get(name)) for row in cells for name in self.schema.sources)
        ):
            warn(
                f"nothing can be learnt of {', '.join(self.schema.sources)}: one value only in the whole training split"
            )
        self._beside = list(getattr(cells, "names", ()))

    def check_cells(self, cells: Iterable[Mapping[str, Any]], root: Path = Path()) -> None:
        """Compare other data's first rows with the schema; nothing before it is fitted.

        Raises ``DataError`` for a column of which not one of these cells is what it was in the training split. One that has none
        of its words is told, and in one warning the columns that the training data lacked.
        """
        if self.schema is None:
            return
        rows = first_rows(cells)
        require_alike(self.schema, rows)
        for name, told in strangers(self.schema, rows).items():
            warn(told)
            self._told.add(name)
        new = [name for name in getattr(cells, "names", ()) if self._beside and name not in self._beside]
        if new:
            warn(f"the training data had no column {', '.join(map(repr, new))}: nothing reads what is new")

    def load(self, cells: Mapping[str, Any], root: Path) -> Row:
        """Cells by column to a row; columns that the schema lacks are ignored.

        Raises ``DataError`` where a column is lacking, or holds another kind of value than in the training split. A category
        that the training split lacks is said once a column and process.
        """
        schema = self._fitted()
        self._require_columns(cells)
        codes = [column.code(cells[column.source]) for column in schema.categorical]
        for column, code in zip(schema.categorical, codes, strict=True):
            if code == UNSEEN:
                self._tell_unseen(column.name, cells[column.source])
        return {
            "numeric": np.array([column.code(cells[column.source]) for column in schema.numeric], np.float32),
            "categories": np.array(codes, np.int64),
        }

    def load_columns(self, batch: pa.RecordBatch, root: Path) -> dict[str, Tensor]:
        """An Arrow batch of cells to what ``collate`` makes of its rows. Raises ``DataError`` where ``load`` does for any."""
        schema = self._fitted()
        self._require_columns(batch.schema.names)
        numeric, categories = by_column(schema, batch)
        for n, column in enumerate(schema.categorical):
            if len(unseen := np.flatnonzero(categories[:, n] == UNSEEN)):
                self._tell_unseen(column.name, as_cell(batch.column(column.source)[int(unseen[0])]))
        return {"numeric": torch.from_numpy(numeric), "categories": torch.from_numpy(categories)}

    def collate(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """Rows to ``numeric`` (n, F) float32 and ``categories`` (n, C) int64; F or C may be 0."""
        return {
            "numeric": torch.stack([torch.as_tensor(row["numeric"], dtype=torch.float32) for row in items]),
            "categories": torch.stack([torch.as_tensor(row["categories"], dtype=torch.int64) for row in items]),
        }

    def preview(self, data: Any) -> dict[str, str]:
        """``text/html`` and ``text/plain``: a line for each column, in the column's own units and words, – where missing."""
        schema = self._fitted()
        said = {
            **{c.name: c.text(float(z)) for c, z in zip(schema.numeric, data["numeric"], strict=True)},
            **{c.name: c.text(int(code)) for c, code in zip(schema.categorical, data["categories"], strict=True)},
        }
        lines = [(column.name, said[column.name] or "–") for column in schema.columns]
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in lines)
        return {"text/html": f"<table>{rows}</table>", "text/plain": "\n".join(f"{n}: {v}" for n, v in lines)}

    def facts(self) -> dict[str, Any]:
        """``schema``, once it is fitted."""
        return {} if self.schema is None else {"schema": self.schema}

    def state_dict(self) -> dict[str, Any]:
        """The schema as JSON values; nothing before it is fitted."""
        return {} if self.schema is None else {"columns": self.schema.to_json(), "beside": self._beside}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self.schema = Schema.from_json(state["columns"]) if state else None
        self._beside = list(state.get("beside", ()))

    def suggest(self, columns: Mapping[str, Sequence[Any]], root: Path, small: bool) -> Suggestion | None:
        """Columns of numbers, of booleans, and of words that come again and again; not those that count the rows.

        A single one is left as it is: SCARF would leave nothing to tell the row by.
        """
        names = [name for name, values in columns.items() if _tells_something(name, values)]
        views = "tabular/scarf" if len(names) > 1 else "tabular/eval"
        return Suggestion(names, views=views, encoder="tabular/mlp") if names else None

    def _require_columns(self, names: Collection[str]) -> None:
        for name in self._fitted().sources:
            if name not in names:
                raise DataError(f"the row has no column {name!r}, which the training split has")

    def _tell_unseen(self, name: str, cell: Any) -> None:
        if name not in self._told:
            self._told.add(name)
            warn(f"column {name!r}: {said(cell)} isn't in the training split; such words count as unseen")

    def _fitted(self) -> Schema:
        if self.schema is None:
            raise ConfigError(
                "the tabular modality isn't fitted: call fit(cells) with the training split's cells first"
            )
        return self.schema


def _tells_something(name: str, values: Sequence[Any]) -> bool:
    """Whether a column of these values, none of them blank, surely is one to learn from."""
    try:
        infer({name: value} for value in values)
    except ConfigError:  # it is empty, mixed, or of another kind
        return False
    distinct = set(values)
    if isinstance(values[0], str):
        return 2 <= len(distinct) <= len(values) // 4
    counts_rows = len(values) > 2 and all(b - a == 1 for a, b in pairwise(values))
    return len(distinct) > 1 and not counts_rows
