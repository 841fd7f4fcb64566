"""Who is nearest to whom, across modalities, as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from contrapose.evaluate import Embedded
from contrapose.evaluate.retrieval import ranks
from contrapose.report.page.markup import Html, number, tag
from contrapose.report.pictures import nearest

QUERIES, TOP = 6, 5


@dataclass(frozen=True)
class Found:
    """What is nearest to a query: ``hits`` (id, cosine), best first; its own match stands at ``rank`` of ``gallery``."""

    query: int
    hits: list[tuple[int, float]]
    rank: float | None
    gallery: int


@dataclass(frozen=True)
class Direction:
    """Some queries of modality ``a``, drawn at random, among ``b``; where both are one, a sample isn't its own neighbour."""

    a: str
    b: str
    found: list[Found]


def directions(embedded: Embedded, seed: int) -> list[Direction]:
    """Every ordered pair of modalities that share a space, or the one modality that there is with itself."""
    tables = embedded.tables(embedded.split, "projected")
    pairs: list[tuple[str, str]] = list(permutations(tables, 2)) or [(m, m) for m in tables]
    made = []
    for a, b in pairs:
        x, y = tables[a], tables[b]
        if x.z.shape[1] != y.z.shape[1]:
            continue
        same = a == b
        hits = nearest(x, y, QUERIES, TOP + same, seed)
        shared = np.intersect1d(x.ids, y.ids)
        asked = x.take(np.isin(x.ids, [query for query, _ in hits]))
        gallery = y.take(np.isin(y.ids, shared))
        place = [None] * len(hits) if same else ranks(asked.z, gallery.z, asked.ids, gallery.ids).rank().tolist()
        found = [
            Found(query, [(i, c) for i, c in near if not same or i != query][:TOP], rank, len(gallery) - same)
            for (query, near), rank in zip(hits, place, strict=True)
        ]
        if found and found[0].hits:
            made.append(Direction(a, b, found))
    return made


def panels(found: Sequence[Direction]) -> Iterator[Html]:
    """A panel a direction: a row a query, then its neighbours; the page fills in the pictures."""
    for n, direction in enumerate(found):
        rows = (
            tag(
                "div",
                _thumb(one.query, direction.a, "query" if direction.a == direction.b else _place(one), "asked"),
                tag("div", *_hits(direction, one), class_="hits"),
                class_="query",
            )
            for one in direction.found
        )
        title = tag("h3", f"{direction.a} → {direction.b}")
        yield tag(
            "div", title, *rows, class_="direction", id=f"direction-{n}", data_title=f"{direction.a} → {direction.b}"
        )


def _hits(direction: Direction, one: Found) -> Iterator[Html]:
    for i, cosine in one.hits:
        own = i == one.query
        yield _thumb(i, direction.b, number(cosine) + (" own" if own else ""), "own" if own else None)


def _thumb(sample: int, modality: str, caption: str, kind: str | None) -> Html:
    classes = "thumb" if kind is None else f"thumb {kind}"
    label = f"{modality} of sample {sample}, {caption}"
    box = tag("button", type="button", class_="shown", data_sample=sample, data_modality=modality, aria_label=label)
    return tag("figure", box, tag("figcaption", caption), class_=classes)


def _place(one: Found) -> str:
    return f"own: place {one.rank:g} of {one.gallery:,}" if one.rank is not None else "query"
