"""Several tables as one."""

from __future__ import annotations

from dataclasses import replace

from contrapose.errors import ConfigError
from contrapose.sources.base import Source, Step
from contrapose.types import Rows, cat_rows


class Union(Source):
    """The rows of several tables on all ranks, one table after the other, so that a batch's keys and a queue may be assigned over.

    Rows keep their columns, their origin too.
    """

    def __init__(self, of: list[str], name: str = "union") -> None:
        super().__init__()
        if len(of) < 2:
            raise ConfigError("of: names at least two tables")
        self.refs, self.name = tuple(of), name

    def rows(self, out: Step, table: str = "") -> Rows:
        """(sum of the tables' rows, D)."""
        return replace(cat_rows([out.rows(ref, "global") for ref in self.refs]), replicated=True)
