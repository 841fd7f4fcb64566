"""The sections of the page. One whose data aren't there says so in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contrapose.data.split import TRAIN
from contrapose.report.page import facts, health, neighbours, numbers
from contrapose.report.page.markup import Html, counted, join, tag
from contrapose.report.page.material import Material
from contrapose.report.page.pairs import joined

TITLES = {
    "curves": "Curves",
    "health": "Health",
    "numbers": "Numbers",
    "map": "Embedding map",
    "neighbours": "Nearest neighbours",
    "skipped": "Skipped samples",
    "config": "Config",
}
"""The sections by their anchor."""


def body(material: Material, data: Mapping[str, Any], found: Sequence[neighbours.Direction], seed: int) -> Html:
    """The whole page; ``data`` is what its scripts draw, ``found`` the neighbours."""
    checks = health.checks(material)
    sections = [
        _curves(material, data.get("curves")),
        _health(checks),
        _numbers(material),
        _maps(material, data, seed),
        _neighbours(material, found, seed),
        _skipped(material),
        _config(material),
    ]
    links = (tag("a", title, href=f"#{name}") for name, title in TITLES.items())
    return join([_head(material, checks), tag("nav", *links, aria_label="Sections"), tag("main", *sections)])


def _head(material: Material, checks: Sequence[health.Check]) -> Html:
    look = sum(not check.well for check in checks)
    said = f"{counted(len(checks), 'check')}, {'all well' if not look else f'{look} worth a look'}" if checks else ""
    return tag(
        "header",
        tag("p", "contrapose report", class_="over"),
        tag("h1", material.run.dir.resolve().name),
        tag("p", tag("a", said, href="#health", class_="look" if look else "ok")) if said else "",
        facts.facts(material),
    )


def _curves(material: Material, curves: Mapping[str, Any] | None) -> Html:
    if curves is None:
        return _none("curves", "metrics.csv has no step yet.")
    every = curves["every"]
    each = f" Each point is the mean of about {every} steps, the pale band their range." if every > 1 else ""
    how = "Point at a chart, or focus it and use the arrow keys, to read all of them at one step."
    lead = f"{counted(len(material.metrics), 'step')}.{each} {how}"
    return _section("curves", lead, tag("div", id="charts", class_="charts"))


def _health(checks: Sequence[health.Check]) -> Html:
    if not checks:
        return _none("health", "nothing was measured yet.")
    lead = "What was looked at, the number, and where the line was drawn. The lines are rules of thumb."
    return _section("health", lead, health.as_list(checks))


def _numbers(material: Material) -> Html:
    if not material.rows:
        return _none("numbers", material.absent or "no evaluator has anything to score.")
    compared = any(row.untrained is not None for row in material.rows)
    lead = [
        f"On the {material.split} split; R@k and accuracies in %. 95 %: intervals by bootstrap over groups.",
        "Chance: k of the gallery, or the training split's commonest class.",
    ]
    if compared:
        lead.append("Untrained: the same network before its first step. Gain: the difference, paired by query, in")
        lead.append("green or red where its interval leaves zero.")
    if material.split == TRAIN:
        lead.append("This is the data that was trained on: the numbers say nothing of new data.")
    keys = ["value", "interval", *(["untrained"] if compared else []), "chance"]
    legend = tag("p", "Strips: 0 to 100 %", *(tag("span", key, class_=f"key {key}") for key in keys), class_="legend")
    terms = joined(material.run) if material.embedded is not None else []
    matrix = numbers.directions(material.rows, terms) or ""
    said = [*numbers.remarks(material.rows), *material.unmeasured]
    remarks = [tag("p", remark, class_="faint") for remark in said]
    return _section("numbers", " ".join(lead), matrix, legend, numbers.scores(material.rows), *remarks)


def _maps(material: Material, data: Mapping[str, Any], seed: int) -> Html:
    if not data.get("maps"):
        return _none("map", material.absent)
    some = f"{data['drawn']:,} of {data['rows']:,}" if data["drawn"] < data["rows"] else f"All {data['rows']:,}"
    lead = [
        f"{some} samples of the {material.split} split, laid out by t-SNE on cosine (seed {seed}): who is near whom means",
        "something, the distance between clusters little. What several modalities share is their projected embeddings;",
        "a modality alone is its encoder's own features. Point at a sample to see it, click to keep it.",
    ]
    kind = "many" if len(data["maps"]) > 3 else "few" if len(data["maps"]) > 1 else "one"
    controls = tag("div", id="controls", class_="controls")
    return _section("map", " ".join(lead), controls, tag("div", id="maps", class_=f"maps {kind}"))


def _neighbours(material: Material, found: Sequence[neighbours.Direction], seed: int) -> Html:
    if not found:
        return _none("neighbours", material.absent or "no two modalities share a space and a sample.")
    across = found[0].a != found[0].b
    lead = [
        f"By cosine in the shared space, among all of the {material.split} split, best first."
        if across
        else f"By cosine of the projected embeddings, among all of the {material.split} split, itself left out.",
        f"{neighbours.QUERIES} queries a direction at most, drawn with seed {seed}, not chosen.",
        "Framed in green: the query's own. Under the query: the place of its own." if across else "",
    ]
    tabs = tag("div", id="tabs", class_="tabs")
    return _section("neighbours", " ".join(lead).strip(), tabs, *neighbours.panels(found))


def _skipped(material: Material) -> Html:
    if not material.skipped:
        return _none("skipped", "training read everything." if len(material.metrics) else "no step was made.")
    samples = len({sample for sample, _, _ in material.skipped})
    lead = f"{counted(len(material.skipped), 'item')} of {counted(samples, 'sample')} couldn't be read in training."
    return _section("skipped", lead, *facts.skipped(material))


def _config(material: Material) -> Html:
    lead = "As it was resolved, every default in its place. Again, from a shell (with the same --plugin, if there was one):"
    return _section("config", lead, facts.commands(material), facts.config(material.run.dir))


def _none(name: str, why: str) -> Html:
    return _section(name, f"Nothing to show: {why}")


def _section(name: str, lead: str, *content: Any) -> Html:
    heading = tag("h2", TITLES[name], id=f"{name}-title")
    return tag("section", heading, tag("p", lead, class_="lead"), *content, id=name, aria_labelledby=f"{name}-title")
