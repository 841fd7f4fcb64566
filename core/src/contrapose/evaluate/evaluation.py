"""The outcome of an evaluation: numbers with their intervals, as JSON and as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from contrapose.evaluate.scores import Embedded

WIDTHS = {"": 14, "value": 6, "95 %": 14, "chance": 6, "untrained": 9, "gain": 6, "95 % ": 16}
"""Columns of the table; with a space after each they make 78 characters."""


@dataclass(frozen=True)
class Row:
    """One score of the trained model beside the untrained one; None is what there isn't.

    ``interval`` and ``gain_interval`` are 95 % bootstrap intervals over groups, the latter of the paired difference
    ``gain = value - untrained``. ``queries`` and ``groups`` count what was resampled.
    """

    evaluator: str
    metric: str
    of: str
    value: float
    interval: tuple[float, float] | None = None
    chance: float | None = None
    untrained: float | None = None
    gain: float | None = None
    gain_interval: tuple[float, float] | None = None
    queries: int | None = None
    groups: int | None = None
    better: Literal["high", "low"] | None = None
    percent: bool = False
    note: str = ""

    @property
    def improved(self) -> bool | None:
        """Whether training helped (True) or hurt (False) beyond the interval; None where that can't be said."""
        if self.gain_interval is None or self.better is None:
            return None
        low, high = self.gain_interval if self.better == "high" else (-self.gain_interval[1], -self.gain_interval[0])
        return True if low > 0 else False if high < 0 else None


@dataclass(frozen=True)
class Evaluation:
    """Every row of an evaluation, with what is needed to make it again, and the embeddings that it scored.

    ``checkpoint`` names the folder of the weights; empty where there is none.
    """

    rows: list[Row]
    split: str
    seed: int
    draws: int
    embedded: Embedded
    checkpoint: str = ""

    def row(self, metric: str, of: str) -> Row:
        """The row of a metric and a modality or direction (``row("R@10", "a → b")``). Raises ``KeyError``."""
        for row in self.rows:
            if (row.metric, row.of) == (metric, of):
                return row
        raise KeyError(f"no {metric!r} of {of!r}; there is {', '.join(f'{r.metric} of {r.of}' for r in self.rows)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a number that isn't finite becomes None."""
        plain: dict[str, Any] = _finite(
            {
                "split": self.split,
                "seed": self.seed,
                "draws": self.draws,
                "checkpoint": self.checkpoint,
                "sizes": self.embedded.sizes,
                "rows": [asdict(row) for row in self.rows],
                "unmeasured": [*self.unmeasured()],
            }
        )
        return plain

    def save(self, path: Path) -> Path:
        """Write the JSON file."""
        path.write_text(json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def __rich__(self) -> Group:
        columns = list(WIDTHS)[: 4 if all(row.untrained is None for row in self.rows) else None]
        parts: list[Any] = [_table(columns, header=True)]
        # Directions come first, then modalities, then pairs; in each, what is in per cent before the geometry.
        for of in sorted(dict.fromkeys(row.of for row in self.rows), key=lambda of: ("→" not in of, " – " in of)):
            rows = sorted((row for row in self.rows if row.of == of), key=lambda row: not row.percent)
            parts += [self._title(of, rows), _filled(columns, rows), Text()]
        return Group(*parts, *(Text(line, style="dim") for line in self._footnotes()))

    def _title(self, of: str, rows: list[Row]) -> Text:
        title = Text(of, style="bold")
        most = max(rows, key=lambda row: row.queries or 0)
        if most.queries:
            groups = f" in {most.groups:,} groups" if most.groups != most.queries else ""
            title.append(f"  {most.queries:,} {self.split} rows{groups}", style="not bold dim")
        return title

    def _footnotes(self) -> Iterator[str]:
        recall = any(row.percent and "R@" in row.metric for row in self.rows)
        accuracy = any(row.percent and "R@" not in row.metric for row in self.rows)
        if recall or accuracy:
            what = " and ".join(["R@k"] * recall + ["accuracies"] * accuracy)
            chance = ", or ".join(["k / gallery"] * recall + ["train's commonest class"] * accuracy)
            yield f"{what[0].upper()}{what[1:]} in %; chance: {chance}."
        if any(row.interval for row in self.rows):
            yield "95 %: bootstrap over groups."
        if any(row.gain_interval for row in self.rows):
            yield "gain: trained - untrained, its interval paired by query."
        for row in self.rows:
            if "count as wrong" in row.note:
                yield f"{row.metric} of {row.of}: {row.note.rpartition('; ')[2]}."
        yield from self.unmeasured()

    def unmeasured(self) -> Iterator[str]:
        """A line for each reason why an evaluator that was asked couldn't score."""
        found = self.embedded.unmeasured
        for why in dict.fromkeys(found.values()):
            of = dict.fromkeys(of for (_, of), reason in found.items() if reason == why)
            metrics = dict.fromkeys(metric for (metric, _), reason in found.items() if reason == why)
            yield f"{', '.join(metrics)} of {', '.join(of)}: not measured, as {why}."


def _table(columns: list[str], header: bool = False) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=header, header_style="dim")
    for i, name in enumerate(columns):
        table.add_column(name, width=WIDTHS[name], justify="right" if i else "left", no_wrap=True)
    return table


def _filled(columns: list[str], rows: list[Row]) -> Table:
    table = _table(columns)
    for row in rows:
        gain_style = {True: "green", False: "red", None: "dim"}[row.improved]
        cells = [
            Text(row.metric),
            Text(_number(row.value, row.percent), style="bold"),
            Text(_range(row.interval, row.percent), style="dim"),
            Text(_number(row.chance, row.percent)),
            Text(_number(row.untrained, row.percent)),
            Text(_number(row.gain, row.percent, "+"), style=gain_style),
            Text(_range(row.gain_interval, row.percent, "+"), style=gain_style),
        ]
        table.add_row(*cells[: len(columns)])
    return table


def _number(value: float | None, percent: bool, sign: str = "", decimals: int = 3) -> str:
    if value is None or not math.isfinite(value):
        return ""
    if percent:
        return f"{100 * value:{sign}.1f}"
    if abs(value) >= 999.5:
        return f"{value:{sign}.0f}"
    return f"{value:{sign}.3g}" if abs(value) >= 1 else f"{value:{sign}.{decimals}f}"


def _range(ends: tuple[float, float] | None, percent: bool, sign: str = "") -> str:
    return "" if ends is None else f"[{', '.join(_number(end, percent, sign, decimals=2) for end in ends)}]"


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _finite(v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(v) for v in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
