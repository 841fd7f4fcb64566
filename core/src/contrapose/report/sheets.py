"""Sheets of previews: the views of some samples, and what is retrieved for some queries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contrapose.report.canvas import FAINT, HIT, Canvas, frame
from contrapose.report.preview import Bundle, draw, fit_text

LINE, TALL = 0.14, 0.7
"""Inches that a further line of a note takes, and that a note may fill at most."""


def view_sheet(
    samples: Sequence[tuple[str, Sequence[Bundle | None]]],
    columns: Sequence[tuple[str, str]],
    path: Path,
    title: str = "",
    note: str = "",
    cell: float = 1.45,
    left: float = 0.95,
) -> Path:
    """A contact sheet: a row per sample (name, one preview a column), a column per (group, heading).

    Neighbouring columns of the same group share its name above them. The names' column is ``left`` inches wide.
    """
    gap, top, below = 0.1, 1.0, 0.4
    shifts, x = [], left
    for i, (group, _) in enumerate(columns):
        x += 0.22 if i and group != columns[i - 1][0] else 0.0
        shifts.append(x)
        x += cell + gap
    width = max(x + 0.1, 4.0)
    note = fit_text(note, width - 0.3, TALL, 8)
    below += LINE * note.count("\n")
    height = top + len(samples) * (cell + gap) + below
    sheet = Canvas(width, height)
    sheet.words(0.15, height - 0.28, fit_text(title, width - 0.3, 0.2, 11), size=11, weight="bold")
    sheet.words(0.15, 0.17 + LINE * note.count("\n") / 2, note, size=8, colour=FAINT)
    for i, (group, heading) in enumerate(columns):
        if not i or group != columns[i - 1][0]:
            span = cell + sum(cell + gap for other, _ in columns[i + 1 :] if other == group)
            name = fit_text(group, span, 0.2, 10)
            sheet.words(shifts[i], height - 0.62, name, size=10, weight="bold")
        sheet.words(shifts[i], height - 0.86, fit_text(heading, cell, 0.25, 8), size=8, colour=FAINT)
    for row, (name, previews) in enumerate(samples):
        y = height - top - (row + 1) * (cell + gap) + gap
        sheet.words(0.15, y + cell / 2, fit_text(name, left - 0.2, cell, 8), size=8)
        for x, preview in zip(shifts, previews, strict=True):
            draw(sheet.cell(x, y, cell), preview, cell)
    return sheet.save(path)


def retrieval_sheet(
    rows: Sequence[tuple[Bundle | None, Sequence[tuple[Bundle | None, float, bool]]]],
    query: str,
    gallery: str,
    path: Path,
    note: str = "",
    cell: float = 1.45,
) -> Path:
    """A row per query of modality ``query`` with its nearest of ``gallery``: (preview, cosine, hit), hits in green."""
    gap, apart, left, top, below = 0.28, 0.45, 0.15, 0.95, 0.4
    most = max(len(found) for _, found in rows)
    width = max(left + cell + apart + most * (cell + 0.12) + 0.1, 5.0)
    note = fit_text(note, width - 0.3, TALL, 8)
    below += LINE * note.count("\n")
    height = top + len(rows) * (cell + gap) + below
    start = left + cell + apart
    sheet = Canvas(width, height)
    sheet.words(left, height - 0.3, fit_text(f"{query} → {gallery}", width - 0.3, 0.2, 11), size=11, weight="bold")
    sheet.words(left, height - 0.72, "query", size=8, colour=FAINT)
    sheet.words(start, height - 0.72, f"nearest of {gallery}, best first", size=8, colour=FAINT)
    sheet.words(left, 0.17 + LINE * note.count("\n") / 2, note, size=8, colour=FAINT)
    for i, (asked, found) in enumerate(rows):
        y = height - top - (i + 1) * (cell + gap) + gap
        draw(sheet.cell(left, y, cell), asked, cell)
        for j, (preview, cosine, hit) in enumerate(found):
            x = start + j * (cell + 0.12)
            axes = sheet.cell(x, y, cell)
            draw(axes, preview, cell)
            if hit:
                frame(axes, HIT, 3.0)
            colour = HIT if hit else FAINT
            sheet.words(x, y - 0.12, f"{cosine:.2f}", size=7.5, colour=colour)
    return sheet.save(path)
