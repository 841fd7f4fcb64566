"""HTML by small functions: a string that isn't ``Html`` is escaped wherever it is put."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


class Html(str):
    """Markup that is safe as it stands; only the functions of this file make any."""

    __slots__ = ()


def join(parts: Iterable[Any]) -> Html:
    """The parts one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(str(part)) for part in parts))


def tag(name: str, *children: Any, **attributes: Any) -> Html:
    """An element. An attribute that is None is left out; ``class_`` is written ``class``, ``data_x`` ``data-x``."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{said}>{join(children)}</{name}>")


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], **attributes: Any) -> Html:
    """A table in a box that scrolls sideways where it is too wide."""
    header = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", header, body, **attributes), class_="wide")


def number(value: float | None, percent: bool = False, sign: bool = False) -> str:
    """A number to three digits or decimals, times 100 with one decimal where it is a share; a dash for none."""
    if value is None or value != value:
        return "–"
    plus = "+" if sign else ""
    if percent:
        said = f"{100 * value:{plus}.1f}"
    elif abs(value) >= 1000 or value == round(value):
        said = f"{value:{plus},.0f}"
    else:
        said = f"{value:{plus}#.3g}".rstrip(".").removesuffix(".0") if abs(value) >= 1 else f"{value:{plus}.3f}"
    return said.replace("-", "−")


def counted(count: int, noun: str) -> str:
    """``1 step``, ``1,200 steps``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
