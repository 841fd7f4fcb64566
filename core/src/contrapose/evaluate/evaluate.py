"""Measure a run, and its untrained self, with every evaluator that is offered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from contrapose.engine.checkpoint import latest
from contrapose.errors import ConfigError, ContraposeError, DataError, PluginError
from contrapose.evaluate.bootstrap import interval, resample
from contrapose.evaluate.evaluation import Evaluation, Row
from contrapose.evaluate.scores import Embedded, Evaluator, Head, Score, Table
from contrapose.plugins import registry

if TYPE_CHECKING:
    from contrapose.engine.embed import Embeddings
    from contrapose.engine.run import Run


LISTED = frozenset({"label-retrieval"})
"""Evaluators that run where the config lists them, and not otherwise."""


def evaluate(run: Run, split: str = "test", baseline: bool = True, seed: int = 0, draws: int = 2000) -> Evaluation:
    """Score ``run`` on a split, beside its untrained self if ``baseline``, and write ``evaluation.json``.

    The evaluators are those that the config's ``evaluate.evaluators`` lists, else all on offer but `LISTED`. Nothing is chosen on
    ``split``: it is scored once, and a classifier's penalty comes from cross-validation on the train split. ``seed``
    fixes folds and bootstrap; ``draws`` is the number of bootstrap samples. Raises ``DataError`` if the split has
    nothing to score, or an embedding isn't finite.
    """
    evaluators = chosen(run.config.run.evaluate.evaluators)
    trained = embedded(run, split, seed)
    if not trained.tables(split, "projected"):
        raise DataError(f"the {split!r} split has no rows to evaluate")
    untrained = embedded(run.untrained(), split, seed) if baseline else None
    rows = []
    for name, evaluator in evaluators.items():
        scores = _scores(name, evaluator, trained)
        base = {(s.metric, s.of): s for s in _scores(name, evaluator, untrained)} if untrained else {}
        rows += [row(name, score, base.get((score.metric, score.of)), seed, draws) for score in scores]
    evaluation = Evaluation(rows, split, seed, draws, trained, latest(run.dir / "checkpoints"))
    evaluation.save(run.dir / "evaluation.json")
    return evaluation


def chosen(names: list[str] | None) -> dict[str, Evaluator]:
    """The evaluators of these names, all but `LISTED` for None, by full name. Raises ``PluginError`` for an unknown one."""
    reg = registry()
    usual = (offer for offer in reg.offers("evaluator") if offer.name not in LISTED)
    offers = [*usual] if names is None else [reg.find("evaluator", name) for name in names]
    return {offer.name: cast(Evaluator, reg.load("evaluator", offer.name)) for offer in offers}


def embedded(run: Run, split: str, seed: int = 0) -> Embedded:
    """The run's embeddings of ``split`` and of the train split, made on demand."""

    def embed(part: str, head: Head) -> dict[str, Table]:
        made = run.embed(run.reader(part), head=head)
        return {modality: _table(found, modality) for modality, found in made.items() if len(found)}

    return Embedded(embed, split, seed)


def row(evaluator: str, score: Score, base: Score | None, seed: int = 0, draws: int = 2000) -> Row:
    """A score with its intervals, and its paired difference to the untrained network's."""
    found: dict[str, Any] = {}
    queries = score.queries
    if base is not None:
        found |= {"untrained": base.value, "gain": score.value - base.value}
    if queries is not None:
        groups = queries.ids if queries.groups is None else queries.groups
        paired = base is not None and base.queries is not None and np.array_equal(base.queries.ids, queries.ids)
        values = np.stack([score.values, base.values] if base is not None and paired else [score.values])
        samples = resample(values, groups, score.statistic, draws, seed)
        found |= {"interval": interval(samples[0]), "queries": len(queries), "groups": len(np.unique(groups))}
        if paired:
            found["gain_interval"] = interval(samples[0] - samples[1])
    return Row(
        evaluator, score.metric, score.of, score.value,
        chance=score.chance, better=score.better, percent=score.percent, note=score.note, **found,
    )  # fmt: skip


def _scores(name: str, evaluator: Evaluator, model: Embedded) -> list[Score]:
    try:
        return evaluator(model)
    except ContraposeError:
        raise
    except Exception as error:
        raise PluginError(f"the evaluator {name!r} failed: {type(error).__name__}: {error}") from error


def _table(found: Embeddings, modality: str) -> Table:
    order = np.argsort(found.ids, kind="stable")
    z = torch.from_numpy(found.z[order])
    broken = int((~torch.isfinite(z).all(dim=1)).sum())
    if broken:
        raise DataError(f"{broken} of {len(z)} embeddings of {modality} aren't finite: the training diverged")
    labels = _known(found.columns["label"][order]) if "label" in found.columns else None
    if labels is not None and (np.nan_to_num(labels) % 1).any():
        raise ConfigError("this column holds fractions, and a label is a class", ("meta", "label"))
    groups = None
    if "group" in found.columns:
        named = _known(found.columns["group"][order])
        groups = np.where(np.isnan(named), -0.5 - found.ids[order], named)  # a sample of no group is one of its own
    return Table(z, found.ids[order], labels, groups)


def _known(column: np.ndarray) -> np.ndarray:
    """A column as float64, where readers write -1 or NaN for an empty cell: NaN."""
    values = column.astype(np.float64)
    values[values == -1] = np.nan
    return values
