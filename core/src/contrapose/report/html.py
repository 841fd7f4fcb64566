"""A run as one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from contrapose.data.samples import sample_ids
from contrapose.report.canvas import COLOURS
from contrapose.report.page.curves import curves
from contrapose.report.page.maps import classes, label_names, maps
from contrapose.report.page.markup import Html, tag
from contrapose.report.page.material import Material, gather
from contrapose.report.page.neighbours import Direction, directions
from contrapose.report.page.previews import Previews
from contrapose.report.page.sections import body
from contrapose.report.pictures import drawn

if TYPE_CHECKING:
    from contrapose.engine.run import Run

SCRIPTS = ("common.js", "curves.js", "card.js", "maps.js", "neighbours.js")


def write_report(
    run: Run,
    path: Path | None = None,
    *,
    split: str | None = None,
    baseline: bool = True,
    points: int = 400,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write ``report.html``: curves, health, numbers, embedding maps with previews, neighbours, what was skipped, config.

    A run without an ``evaluation.json`` of its last checkpoint is evaluated first. What can't be shown, as the data aren't
    there any more, is left out with the reason in its place.

    Args:
        run: the run.
        path: the file; by default ``report.html`` in the run's folder.
        split: the part of the data to show; by default what was evaluated, else ``test``, else what isn't trained on.
        baseline: where the run must be evaluated, also score the untrained network.
        points: the most samples in a map, drawn at random.
        seed: which samples are drawn, and the maps' layout.
        tell: told what takes time, a line each.

    Returns:
        The file.

    Raises:
        ConfigError: the data have no such split.
    """
    material = gather(run, split, baseline, seed, tell)
    tell("drawing the page")
    data: dict[str, Any] = {"palette": COLOURS, "curves": curves(material.metrics)}
    found = _see(material, data, points, seed)
    target = path or run.dir / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    made = page(run.dir.resolve().name, body(material, data, found, seed), data)
    target.write_text(made, encoding="utf-8")
    return target


def page(name: str, content: Html, data: Any) -> str:
    """The file's text: ``data`` is what the scripts draw. Its policy lets run and load nothing but its own."""
    style, script = _read("page.css"), "".join(map(_read, SCRIPTS))
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = tag("title", f"{name} · contrapose")
    parts = {"title": title, "policy": policy, "style": style, "body": content, "data": as_json(data), "script": script}
    return Template(_read("page.html")).substitute(parts)


def as_json(data: Any) -> str:
    """JSON that can stand in a ``<script>``: nothing in it ends the element or opens a comment."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _see(material: Material, data: dict[str, Any], points: int, seed: int) -> list[Direction]:
    """Add to ``data`` the maps, and the samples that they and the neighbours show; gives the neighbours."""
    if material.embedded is None:
        return []
    reader = material.run.reader(material.split)
    ids = np.asarray(sample_ids(reader))[drawn(len(reader), points, seed)]
    previews = Previews(reader, {m: material.run.parts.modalities[m] for m in material.run.parts.columns})
    previews.want(ids)
    found = directions(material.embedded, seed)
    for direction in found:
        previews.want([one.query for one in direction.found], [direction.a])
        previews.want([i for one in direction.found for i, _ in one.hits], [direction.b])
    data["classes"], labels = classes(material.embedded.tables(material.split, "pooled"), label_names(reader))
    data["maps"], data["drawn"], data["rows"] = maps(material.embedded, ids, seed), len(ids), len(reader)
    data["samples"] = {
        i: {"class": labels[i][0], "label": labels[i][1], "previews": shown} if i in labels else {"previews": shown}
        for i, shown in previews.tree().items()
    }
    return found


def _read(name: str) -> str:
    return (files("contrapose.report.page") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
