"""What a search found, as a picture and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrapose.data.samples import read_sample, sample_ids
from contrapose.evaluate.query import NOWHERE
from contrapose.report.canvas import FAINT, HIT, INK, Canvas, frame
from contrapose.report.preview import Bundle, as_text, draw, fit_text, preview_of

if TYPE_CHECKING:
    from contrapose.engine.run import Run
    from contrapose.evaluate.search import Found

ACROSS = 8
"""Things side by side; further ones go below."""

CELL, GAP, BETWEEN, APART, LEFT, TOP, HEAD, BELOW = 1.45, 0.25, 0.12, 0.35, 1.15, 0.4, 0.6, 0.35
"""Inches: a preview, what is below it and beside it, between query and results, the margins, and above each thing."""


@dataclass(frozen=True)
class Thing:
    """As a person sees it: its ``label`` ("" without one), and by modality a preview of what can be read of it."""

    label: str
    previews: dict[str, Bundle]

    def words(self) -> str:
        """What its previews say in words, on one line."""
        said = (as_text(p) for p in self.previews.values() if {"text/plain", "text/html"} & p.keys())
        return " · ".join(" ".join(text.split()) for text in said)


def things_found(run: Run, found: Found) -> tuple[Thing, list[Thing]]:
    """The query, and what was found for it."""
    at = {int(i): position for position, i in enumerate(sample_ids(found.reader))}
    places = [at[hit.id] for hit in found.hits]
    samples = [read_sample(found.reader, place)[0] for place in places]
    labels = _labels(run, found.reader, places)
    hits = [Thing(label, _previews(run, s.data)) for label, s in zip(labels, samples, strict=True)]
    return Thing("", _previews(run, found.query.data)), hits


def search_sheet(found: Found, query: Thing, things: Sequence[Thing], path: Path) -> Path:
    """The query, and beside it what was found, best first, a row a modality; the query's own thing is in green."""
    rows = _Rows.of([query, *things])
    blocks = [range(i, min(i + ACROSS, len(things))) for i in range(0, len(things), ACROSS)]
    start = LEFT + CELL + APART
    width = max(start + len(blocks[0]) * (CELL + BETWEEN) + 0.05, 6.0)
    height = TOP + len(blocks) * (HEAD + rows.height) + BELOW
    sheet = Canvas(width, height)
    title = f"{' + '.join(query.previews)} → {', '.join(found.to)}"
    by = "mean cosine to the query; each preview's own is below it" if len(found.to) > 1 else "cosine to the query"
    note = f"{len(things)} nearest of {found.things:,} by {by}"
    sheet.words(0.15, height - 0.28, fit_text(title, width - 0.3, 0.2, 11), size=11, weight="bold")
    sheet.words(0.15, 0.17, fit_text(note, width - 0.3, 0.2, 8), size=8, colour=FAINT)
    top = height - TOP
    asked = "query" if found.query.id == NOWHERE else f"query, #{found.query.id}"
    sheet.words(LEFT, top - 0.3, asked, size=8.5, weight="bold")
    rows.draw(sheet, LEFT, top, {m: query.previews[m] for m in rows.heights if m in query.previews}, (INK, 1.5))
    for block in blocks:
        rows.name(sheet, top)
        for j, i in enumerate(block):
            x, hit, thing = start + j * (CELL + BETWEEN), found.hits[i], things[i]
            colour = HIT if hit.own else INK
            sheet.words(x, top - 0.3, f"{i + 1}.  {hit.cosine:.2f}   #{hit.id}", 8.5, colour, "bold")
            sheet.words(x, top - 0.48, fit_text(thing.label, CELL, 0.2, 7.5), 7.5, FAINT)
            previews = {m: thing.previews.get(m) for m in rows.heights}
            rows.draw(sheet, x, top, previews, (HIT, 2.0) if hit.own else None, hit.by if len(hit.by) > 1 else {})
        top -= HEAD + rows.height
    return sheet.save(path)


@dataclass(frozen=True)
class _Rows:
    """A row of previews for each modality, with its height: a picture's, or what its words need."""

    heights: dict[str, float]

    @classmethod
    def of(cls, things: Sequence[Thing]) -> _Rows:
        names = dict.fromkeys(m for thing in things for m in thing.previews)
        return cls({m: _height([t.previews[m] for t in things if m in t.previews]) for m in names})

    @property
    def height(self) -> float:
        return sum(self.heights.values()) + GAP * len(self.heights)

    def name(self, sheet: Canvas, top: float) -> None:
        for modality, y in self._bottoms(top):
            middle = y + self.heights[modality] / 2
            sheet.words(0.15, middle, fit_text(modality, LEFT - 0.2, 0.4, 8.5), size=8.5)

    def draw(
        self,
        sheet: Canvas,
        x: float,
        top: float,
        previews: Mapping[str, Bundle | None],
        border: tuple[str, float] | None = None,
        cosines: Mapping[str, float] | None = None,
    ) -> None:
        for modality, y in self._bottoms(top):
            if modality not in previews:
                continue
            tall = self.heights[modality]
            axes = sheet.cell(x, y, CELL, tall)
            draw(axes, previews[modality], CELL, height=tall)
            if border:
                frame(axes, *border)
            if cosines and modality in cosines:
                sheet.words(x, y - 0.1, f"{cosines[modality]:.2f}", size=7.5, colour=FAINT)

    def _bottoms(self, top: float) -> Iterator[tuple[str, float]]:
        """Where each row begins, below the head of its block at ``top``."""
        y = top - HEAD
        for modality, tall in self.heights.items():
            yield modality, y - tall
            y -= tall + GAP


def _height(bundles: Sequence[Bundle], points: float = 7.5) -> float:
    if any("image/png" in bundle for bundle in bundles):
        return CELL
    lines = max(fit_text(as_text(bundle), CELL, CELL, points).count("\n") + 1 for bundle in bundles)
    return min(CELL, 0.15 + lines * 1.25 * points / 72)


def _previews(run: Run, data: Mapping[str, Any]) -> dict[str, Bundle]:
    return {m: preview_of(run.parts.modalities[m], data[m]) for m in run.parts.columns if m in data}


def _labels(run: Run, reader: Any, places: Sequence[int]) -> list[str]:
    """The label of each, or its path in a folder without labels."""
    names = ("label" if "label" in getattr(reader, "meta", ()) else run.config.run.meta.get("label"), "path")
    there = {*getattr(reader, "meta", ()), *getattr(reader, "column_names", ())}
    name = next((n for n in names if n in there), None)
    return [word or "" for word in reader.subset(places).words(name)] if name else [""] * len(places)
