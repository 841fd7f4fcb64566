"""Writes docs/methods.md from the core's presets: ``python docs/methods.py``, or ``make docs``."""

from __future__ import annotations

import re
from pathlib import Path

from contrapose.methods.describe import QUADRANTS, Facts, described
from contrapose.plugins import Offer, registry

HERE = Path(__file__).resolve().parent
PAGE = HERE / "methods.md"
PACKAGE = "core/src/contrapose/methods"

HEAD = """\
<!-- Written by docs/methods.py from the presets (make docs). Change those, not this. -->
# Methods

A method is data: named branches, sources and terms ([the design](design.md)). Each preset below is a file of at most 40 lines, or a
function that returns such a mapping; `contrapose show method NAME` prints it, `contrapose methods` lists these and those of the
plugins that are installed. Any part is changed from the command line, `--set method.terms.info_nce.tau=0.1`, or in a copy.

Where arguments stand below a name, the method takes them: `method: {use: clip, pair: [image, text]}`. **Positives** are what the
terms' predicates say of an anchor and a key. **Negatives** are the tables whose other rows are in the denominator: the batch's,
or a source's. A method is **asynchronous** where its keys come from a momentum twin or from past steps, and **asymmetric** where
anchors and keys go different ways from the encoder on (a predictor, another projector, a stopped gradient on one side).

What each learns on CIFAR-10 in a minute or so is in [the methods table](methods-table.md).
"""

ALONE = """\
## Components that one method uses

Components are named for what they compute, so that any method may use them. These are used by one preset so far.

| component | kind | method | why it is one of its own |
|---|---|---|---|
"""

REASONS = {
    "aligned": "one softmax over both directions of a pair needs its two tables row for row",
    "barlow-twins": "a statistic of the whole batch, not of pairs",
    "centres": "class prototypes are trained, and carry the classes' log prior as a bias",
    "combinations": "a similarity of three or more has negatives that no table of single samples holds",
    "ema": "prototypes of a teacher are the running mean of the student's",
    "euclidean": "a margin in the unit of the distance",
    "extrapolated": "the positive pair itself is moved, both sides by one draw",
    "forecast": "a recurrent context with a map for each step ahead: no MLP sees the order of time",
    "hardest-mixes": "mixes of the easiest rows with others, of which the hardest stay: another choice than `synthetic`'s",
    "interpolated": "a queue's rows mixed coordinate by coordinate, in a random order",
    "margin": "no partition sum: pairs beyond the margin have no gradient",
    "match": "who is positive follows from the similarity of another tap, position by position",
    "max-margin": "the negatives' weights solve a support vector machine for each sample",
    "metric-learning": "pytorch-metric-learning's losses and miners, which see whole batches and labels",
    "mix": "the views of two samples become one: neither a view of a sample nor a mix of embeddings",
    "nuclear-norm": "a statistic of the whole batch, not of pairs",
    "product": "a similarity of three or more is an inner product with it",
    "sinkhorn": "the assignment of one row depends on all rows of the step",
    "slice": "a projector without a parameter",
    "squared-length": "holds embeddings small where nothing normalises them",
    "stack": "a volume needs the vectors of a sample side by side",
    "synthetic": "mixes of each query's hardest rows, private to it",
    "union": "soft targets are normalised over the batch's keys and the queue together",
    "vicreg": "a statistic of the whole batch, not of pairs",
    "volume": "the similarity of more than two vectors",
    "von-mises": "weighs each anchor's positive part by how hard it is among all anchors",
}


def page() -> str:
    """The page's text. Raises ``KeyError`` where a component that one method uses has no reason in ``REASONS``."""
    found = {offer: facts for offer in _offers() if (facts := described(offer))}
    parts = [HEAD]
    for quadrant in QUADRANTS:
        rows = [_row(offer, facts) for offer, facts in found.items() if facts.quadrant == quadrant]
        parts.append(
            f"## {quadrant.capitalize()}\n\n| method | positives | negatives | loss | paper |\n|---|---|---|---|---|\n"
        )
        parts[-1] += "".join(rows)
    lone = [f"| `{name}` | {kind} | `{of}` | {REASONS[name]} |\n" for (kind, name), of in alone(found).items()]
    return "\n".join([*parts, ALONE + "".join(lone)])


def alone(found: dict[Offer, Facts]) -> dict[tuple[str, str], str]:
    """The components, as (kind, name), that one method alone uses, and that method."""
    users: dict[tuple[str, str], list[str]] = {}
    for offer, facts in found.items():
        for component in facts.components:
            users.setdefault(component, []).append(offer.name)
    return {component: names[0] for component, names in sorted(users.items()) if len(names) == 1}


def _offers() -> list[Offer]:
    return [offer for offer in registry().offers("method") if offer.distribution == "contrapose"]


def _row(offer: Offer, facts: Facts) -> str:
    example = f"<br>`{offer.spec.example}`" if offer.spec.example else ""
    name = f"[`{offer.name}`](../{_source(offer.spec.target)}): {offer.spec.summary}{example}"
    columns = [_code(facts.positives), ", ".join(facts.negatives), _code(facts.loss)]
    return f"| {name} | {' | '.join(columns)} | {_cited(offer.spec.paper or '')} |\n"


def _code(said: tuple[str, ...]) -> str:
    return "none" if said == ("none",) else "<br>".join(f"`{part}`" for part in said)


def _source(target: str) -> str:
    """The file of a preset."""
    module, _, rest = target.partition(":")
    return f"{PACKAGE}/{rest}" if rest.endswith(".yaml") else f"{PACKAGE}/{module.rpartition('.')[2]}.py"


def _cited(paper: str) -> str:
    return re.sub(r"arXiv:(\d{4}\.\d{5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", paper)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
