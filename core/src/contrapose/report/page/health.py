"""Whether a run is well: what was looked at, the number, and where the line was drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contrapose.engine.metrics import Metrics
from contrapose.evaluate import Row
from contrapose.report.page.markup import Html, counted, number, tag
from contrapose.report.page.material import Material

TAIL = 0.1
"""The share of the steps, at either end of a run, that counts as its beginning and its end."""

STILL = 0.05
"""Where more than this share of a loss's whole fall came between the last two tenths of the steps, it is still falling."""

LEARNT = 3.0
"""In-batch R@1 at the end should be so many times what guessing gives."""

SPREAD, RANK, SKIPPED, GAP = 0.3, 0.1, 0.01, 0.5
"""Below this spread, or this share of the width as effective rank, embeddings are collapsing; a larger share of skipped samples
than this is worth a look; modalities whose means lie farther apart than this are two clouds in one space."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is ``well`` or worth a look, and the number in a sentence."""

    well: bool
    name: str
    said: str


def checks(material: Material) -> list[Check]:
    """Every check that there are numbers for."""
    return [*_training(material), *_embeddings(material), *_evaluation(material.rows)]


def as_list(found: Sequence[Check]) -> Html:
    """The checks, what is worth a look first."""
    return tag("ul", *(_item(check) for check in sorted(found, key=lambda c: c.well)), class_="checks")


def _item(check: Check) -> Html:
    kind = "ok" if check.well else "look"
    badge = tag("b", "well" if check.well else "look", class_="badge")
    return tag("li", badge, tag("strong", check.name), tag("span", check.said), class_=kind)


def _training(material: Material) -> Iterator[Check]:
    metrics, planned = material.metrics, material.planned
    if not len(metrics):
        return
    done = int(metrics.steps[-1])
    if planned is not None:
        more = "" if done >= planned else f" Go on with: contrapose train --resume {material.run.dir}"
        yield Check(done >= planned, "Finished", f"{done:,} of {counted(planned, 'step')} done.{more}")
    yield from _loss(metrics)
    yield from _learnt(metrics.family("top1"), material.train.batch_size)
    if spread := _ends(metrics.family("spread")):
        worst = min(spread, key=spread.__getitem__)
        said = f"{worst} ends at {number(spread[worst])}{_least(spread)}; 1 is an even sphere, 0 a collapse"
        yield Check(spread[worst] >= SPREAD, "Spread", f"{said}, and below {SPREAD} is worth a look.")
    if "train" in material.splits:
        total, lost = len(material.splits["train"]), len({sample for sample, _, _ in material.skipped})
        said = f"{lost:,} of {counted(total, 'training sample')} ({_percent(lost / total)}) had something unreadable"
        yield Check(lost <= SKIPPED * total, "Skipped", f"{said}; above {_percent(SKIPPED)} is worth a look.")


def _loss(metrics: Metrics) -> Iterator[Check]:
    if "loss" not in metrics.values:
        return
    loss = metrics.values["loss"]
    odd = metrics.steps[~np.isfinite(loss)]
    said = f"The loss is not finite at step {odd[0]:,}" if len(odd) else f"It is at all {counted(len(loss), 'step')}"
    yield Check(not len(odd), "Loss is finite", f"{said}; training stops at the first where it isn't.")
    loss = loss[np.isfinite(loss)]
    span = int(len(loss) * TAIL)
    if not span:  # fewer than ten steps say nothing of a trend
        return
    first, before, last = loss[:span].mean(), loss[-2 * span : -span].mean(), loss[-span:].mean()
    said = f"From {number(first)} in the first tenth of the steps to {number(last)} in the last"
    if last >= first:
        yield Check(False, "Loss falls", f"{said}: it has not fallen. Try another train.lr, and look at the views.")
        return
    share = (before - last) / (first - last)
    rate = metrics.values.get("lr", np.ones(1))
    slow = ", as it does where the learning rate ends near zero" if rate[-1] < TAIL * rate.max() else ""
    trend = "still falling, so more epochs may help" if share > STILL else f"it has levelled off{slow}"
    rule = f"the last tenth brought {_percent(share)} of the fall, and above {_percent(STILL)} is still falling"
    yield Check(True, "Loss falls", f"{said}; {trend} ({rule}).")


def _learnt(top1: Mapping[str, np.ndarray], batch: int) -> Iterator[Check]:
    if ends := _ends(top1):
        worst = min(ends, key=ends.__getitem__)
        said = (
            f"{worst} ends at {_percent(ends[worst])}{_least(ends)}; guessing one positive in a batch of {batch} gives"
        )
        rule = f"less than {LEARNT:g} times that is worth a look"
        yield Check(ends[worst] >= LEARNT / batch, "In-batch R@1", f"{said} {_percent(1 / batch)}, and {rule}.")


def _embeddings(material: Material) -> Iterator[Check]:
    if material.embedded is None:
        return
    tables = material.embedded.tables(material.split, "projected")
    ranks = {of: rank for of, rank in _values(material.rows, "effective rank").items() if of in tables}
    shares = {m: rank / min(tables[m].z.shape) for m, rank in ranks.items()}
    if shares:
        worst = min(shares, key=shares.__getitem__)
        said = f"{worst} uses {number(ranks[worst])} of {min(tables[worst].z.shape)} directions{_least(shares)}"
        yield Check(shares[worst] >= RANK, "Effective rank", f"{said}; less than {_percent(RANK)} is worth a look.")


def _evaluation(rows: Sequence[Row]) -> Iterator[Check]:
    if gaps := _values(rows, "modality gap"):
        widest = max(gaps, key=gaps.__getitem__)
        said = f"The means of {widest} lie {number(gaps[widest])} apart{' (the widest)' if len(gaps) > 1 else ''}, of 2 at most"
        rule = f"above {GAP} they are two clouds in one space, and cosines compare within one direction only"
        yield Check(gaps[widest] <= GAP, "Modality gap", f"{said}; {rule}.")
    recalls = [(row, row.interval[0] > row.chance) for row in rows if row.interval and row.chance is not None]
    recalls = [(row, above) for row, above in recalls if row.metric.startswith("R@")]
    if recalls:
        missed = [row for row, above in recalls if not above]
        said = f"{len(recalls) - len(missed)} of {counted(len(recalls), 'recall')} lie above chance by their whole interval"
        yield Check(not missed, "Retrieval", f"{said}{_named('; not', missed)}")
    paired = [row for row in rows if row.gain_interval and row.better]
    if paired:
        better, worse = ([row for row in paired if row.improved is way] for way in (True, False))
        said = f"Training improved {len(better)} of {counted(len(paired), 'score')} by their whole interval"
        yield Check(not worse, "Over untrained", f"{said}, and worsened {len(worse) or 'none'}{_named(':', worse)}")


def _values(rows: Sequence[Row], metric: str) -> dict[str, float]:
    """A metric by what it is of, where it is finite."""
    return {row.of: row.value for row in rows if row.metric == metric and np.isfinite(row.value)}


def _ends(family: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The mean of each series over the last tenth of its steps."""
    finite = {name: v[np.isfinite(v)] for name, v in family.items()}
    return {name: float(v[-max(1, int(len(v) * TAIL)) :].mean()) for name, v in finite.items() if len(v)}


def _percent(share: float) -> str:
    return f"{number(share, percent=True).removesuffix('.0')} %"


def _least(values: Mapping[str, float]) -> str:
    return f" (the least of {len(values)})" if len(values) > 1 else ""


def _named(lead: str, rows: Sequence[Row]) -> str:
    """The end of a sentence that names some rows."""
    shown = ", ".join(f"{row.metric} of {row.of}" for row in rows[:4])
    return f"{lead} {shown}{', …' if len(rows) > 4 else '.'}" if rows else "."
