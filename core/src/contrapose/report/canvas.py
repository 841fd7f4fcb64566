"""What every picture shares: its colours, and figures laid out in inches."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 110
INK, FAINT, LINE, PAPER = "#20242b", "#7d8590", "#d5d9df", "#f4f5f7"
HIT = "#1a9850"
COLOURS = ["#4269d0", "#efb118", "#ff725c", "#3ca951", "#a463f2", "#6cc5b0", "#9c6b4e", "#ff8ab7", "#97bbf5", "#7a7f87"]


class Canvas:
    """A white figure, ``width`` x ``height`` inches, whose origin is at the lower left."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self.figure)  # no display, no global state

    def cell(self, x: float, y: float, size: float, height: float | None = None) -> Axes:
        """Axes with their lower left corner at ``x``, ``y``; square unless ``height`` is given."""
        tall = size if height is None else height
        return self.figure.add_axes((x / self.width, y / self.height, size / self.width, tall / self.height))

    def words(self, x: float, y: float, text: str, size: float, colour: str = INK, weight: str = "normal") -> None:
        """Text whose left middle is at ``x``, ``y``; dollar signs are no formulas."""
        self.figure.text(
            x / self.width, y / self.height, text,
            ha="left", va="center", fontsize=size, color=colour, fontweight=weight, parse_math=False,
        )  # fmt: skip

    def save(self, path: Path) -> Path:
        """Write a PNG, making its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.figure.savefig(path, dpi=DPI)
        return path


def frame(axes: Axes, colour: str = LINE, width: float = 0.6) -> None:
    """Colour the border of axes."""
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=width)
