"""Draw a modality's preview, a MIME bundle, into one cell of a picture."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import matplotlib.pyplot as plt  # for reading PNG bytes alone: figures are made without its global state
from matplotlib.axes import Axes

from contrapose.data.failure import one_line
from contrapose.report.canvas import FAINT, INK, PAPER, frame

Bundle = Mapping[str, bytes | str]
_BREAKS = {"tr", "p", "br", "div", "li", "h1", "h2", "h3", "table"}


class _Text(HTMLParser):
    """Collects the visible text, a line per row or paragraph."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = [""]
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hidden += tag in ("style", "script")
        if tag in _BREAKS and self.lines[-1]:
            self.lines.append("")
        elif tag in ("td", "th") and self.lines[-1]:
            self.lines[-1] += "  "

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self.hidden and data.strip():
            self.lines[-1] += " ".join(data.split())


def preview_of(modality: Any, data: Any) -> Bundle:
    """A modality's preview of data, or in words why there is none: a broken sample costs its cell, not the picture."""
    try:
        bundle: Bundle = modality.preview(data)
    except Exception as error:  # of data that are decoded when they are looked at, and of a plugin's own fault
        return {"text/plain": f"no preview: {one_line(error)}"}
    return bundle


def as_text(bundle: Bundle) -> str:
    """The preview in words: its plain text, else its HTML without tags, else what it is and how large."""
    if "text/plain" in bundle:
        return _decoded(bundle["text/plain"])
    if "text/html" in bundle:
        parser = _Text()
        parser.feed(_decoded(bundle["text/html"]))
        return "\n".join(line.rstrip() for line in parser.lines if line.strip())
    return "\n".join(f"{mime}\n{len(content):,} bytes" for mime, content in bundle.items())


def draw(axes: Axes, bundle: Bundle | None, inches: float, points: float = 7.5, height: float | None = None) -> None:
    """Fill axes, ``inches`` wide, with a preview: its PNG if it has one, else its text, cut to what fits.

    They are square, unless ``height`` is given.
    """
    tall = inches if height is None else height
    axes.set(xticks=[], yticks=[])
    axes.set_facecolor(PAPER)
    frame(axes)
    if bundle is None:
        axes.text(0.5, 0.5, "missing", transform=axes.transAxes, ha="center", va="center", color=FAINT, fontsize=points)
    elif "image/png" in bundle:
        raw = bundle["image/png"]
        axes.imshow(
            plt.imread(io.BytesIO(raw if isinstance(raw, bytes) else raw.encode("latin-1")), format="png"), cmap="gray"
        )
    else:
        words = fit_text(as_text(bundle), inches, tall, points)
        axes.text(
            0.05,
            1 - 0.05 * inches / tall,
            words,
            transform=axes.transAxes,
            ha="left",
            va="top",
            color=INK,
            fontsize=points,
            parse_math=False,
        )


def fit_text(text: str, width: float, height: float, points: float) -> str:
    """Wrap ``text`` into a box of ``width`` x ``height`` inches at this font size, with an ellipsis where it's cut."""
    columns = max(4, int(0.9 * width * 72 / (0.62 * points)))  # a wide letter of DejaVu Sans is 0.62 em
    most = max(1, int(0.9 * height * 72 / (1.25 * points)))
    lines = [part for line in text.splitlines() for part in (textwrap.wrap(line, columns) or [""])]
    if len(lines) <= most:
        return "\n".join(lines)
    return "\n".join([*lines[: most - 1], lines[most - 1][: columns - 1] + "…"])


def _decoded(content: bytes | str) -> str:
    return content if isinstance(content, str) else content.decode("utf-8", "replace")
