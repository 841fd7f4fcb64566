"""Several tables, row for row of the same samples."""

from __future__ import annotations

from collections.abc import Callable

from contrapose.errors import ConfigError
from contrapose.sources.base import Source, Step
from contrapose.sources.derived import join
from contrapose.types import Rows


class Aligned(Source):
    """Tables cut down to the samples that all of them have, in the order of the first: ``<name>.0``, ``<name>.1``, ...

    So that one term may compare two modalities' anchors at once, each with the other's keys (``keys: [{rows: ..., query: ...}]``).
    Rows keep their columns.
    """

    def __init__(self, of: list[str], name: str = "aligned") -> None:
        super().__init__()
        if len(of) < 2:
            raise ConfigError("of: names at least two tables to align")
        self.refs, self.name = tuple(of), name

    def width(self, dim: Callable[[str], int], table: str = "") -> int:
        """See the base class."""
        return dim(self.refs[self._place(table)])

    def rows(self, out: Step, table: str = "") -> Rows:
        """One of the tables."""
        return join([out.rows(ref) for ref in self.refs])[self._place(table)]

    def _place(self, table: str) -> int:
        known = [str(n) for n in range(len(self.refs))]
        if table not in known:
            raise ConfigError(
                f"this source has the tables {', '.join(f'{self.name}.{n}' for n in known)}, and no {table!r}"
            )
        return known.index(table)
