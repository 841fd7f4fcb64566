"""The evaluation as a page shows it: a matrix of what finds what, and every number with its interval."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any

from contrapose.evaluate import Row
from contrapose.report.page.markup import Html, counted, join, number, table, tag
from contrapose.report.page.pairs import apart

HEAD = ("", "value", "95 %", "chance", "untrained", "gain", "95 %", "")


def directions(rows: Sequence[Row], terms: Sequence[set[str]]) -> Html | None:
    """Recall from each modality (row) to each other (column); None where there are fewer than three modalities.

    ``terms``, the modalities that each term reads, tell which pairs were never trained together; they are marked.
    """
    metric = _recall(rows)
    found = {tuple(row.of.split(" → ")): row for row in rows if row.metric == metric}
    names = list(dict.fromkeys(name for pair in found for name in pair))
    if len(names) < 3:
        return None
    head = [f"{metric}, %", *(f"→ {name}" for name in names)]
    body = [
        [tag("b", a), *(_cell(found.get((a, b)), bool(terms) and apart(a, b, terms)) for b in names)] for a in names
    ]
    grid = table(head, body, class_="matrix")
    marked = any(apart(a, b, terms) for a, b in found) if terms else False
    return join(
        [grid, tag("p", "* No term of the method brings these two together.", class_="faint") if marked else ""]
    )


def scores(rows: Sequence[Row]) -> Html:
    """All rows, those of one direction, modality or pair together, in the order of ``contrapose evaluate``."""
    plain = all(row.untrained is None for row in rows)
    head = [cell for i, cell in enumerate(HEAD) if not (plain and 4 <= i <= 6)]
    groups: list[Html] = []
    for of in sorted(dict.fromkeys(row.of for row in rows), key=lambda of: ("→" not in of, " – " in of)):
        own = sorted((row for row in rows if row.of == of), key=lambda row: not row.percent)
        title = tag("tr", tag("th", of, tag("small", _counts(own)), colspan=len(head), scope="colgroup"), class_="of")
        groups.append(tag("tbody", title, *(_line(row, plain) for row in own)))
    header = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    return tag("div", tag("table", header, *groups, class_="scores"), class_="wide")


def remarks(rows: Sequence[Row]) -> list[str]:
    """What the evaluators say of single rows beside their numbers."""
    return [f"{row.metric} of {row.of}: {row.note}." for row in rows if "count as wrong" in row.note]


def _line(row: Row, plain: bool) -> Html:
    way = {True: "up", False: "down", None: "faint"}[row.improved]
    against = [
        tag("td", number(row.untrained, row.percent)),
        tag("td", number(row.gain, row.percent, sign=True), class_=way),
        tag("td", _range(row.gain_interval, row.percent, sign=True), class_=way),
    ]
    return tag(
        "tr",
        tag("th", row.metric, tag("small", f" {row.note}") if row.note and "wrong" not in row.note else "", scope="row"),
        tag("td", tag("b", number(row.value, row.percent))),
        tag("td", _range(row.interval, row.percent), class_="faint"),
        tag("td", number(row.chance, row.percent)),
        *([] if plain else against),
        tag("td", _strip(row) if row.percent and isfinite(row.value) else ""),
    )  # fmt: skip


def _strip(row: Row) -> Html:
    """From 0 to 100 %: the interval as a bar, the value as a dot, the untrained as a ring, chance as a tick."""

    def x(share: float) -> str:
        return f"{4 + 142 * min(max(share, 0.0), 1.0):.1f}"

    parts = [tag("path", d="M4 8H146", class_="axis")]
    if row.chance is not None:
        parts.append(tag("path", d=f"M{x(row.chance)} 3V13", class_="chance"))
    if row.interval is not None:
        parts.append(tag("path", d=f"M{x(row.interval[0])} 8H{x(row.interval[1])}", class_="interval"))
    if row.untrained is not None:
        parts.append(tag("circle", cx=x(row.untrained), cy=8, r=3.5, class_="untrained"))
    parts.append(tag("circle", cx=x(row.value), cy=8, r=3.5, class_="value"))
    return tag("svg", *parts, viewBox="0 0 150 16", class_="strip", aria_hidden="true")


def _cell(row: Row | None, untaught: bool) -> Any:
    if row is None:
        return ""
    heat = min(9, int(10 * row.value))
    chance = f"chance {number(row.chance, True)}{' *' if untaught else ''}"
    return tag("span", tag("b", number(row.value, True)), tag("small", chance), class_=f"heat h{heat}")


def _recall(rows: Sequence[Row]) -> str:
    """The recall at the largest k."""
    found = {int(m[1]): row.metric for row in rows if (m := re.fullmatch(r"R@(\d+)", row.metric))}
    return found[max(found)] if found else ""


def _counts(rows: Sequence[Row]) -> str:
    most = max(rows, key=lambda row: row.queries or 0)
    if not most.queries:
        return ""
    groups = f" in {counted(most.groups or 0, 'group')}" if most.groups != most.queries else ""
    return f" {counted(most.queries, 'row')}{groups}"


def _range(ends: tuple[float, float] | None, percent: bool, sign: bool = False) -> Html:
    return join([] if ends is None else [f"{number(ends[0], percent, sign)} … {number(ends[1], percent, sign)}"])
