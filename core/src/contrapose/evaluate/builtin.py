"""The core's evaluators: each turns a model's embeddings into scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations, permutations

import numpy as np
import torch

from contrapose.evaluate import geometry as shape
from contrapose.evaluate.knn import knn
from contrapose.evaluate.linear import probe
from contrapose.evaluate.retrieval import ranks
from contrapose.evaluate.scores import Embedded, Score, Table

RECALLS = (1, 5, 10)
CLASS_RECALLS = (1, 5, 10, 20, 50)

Classifier = Callable[[Table, np.ndarray, Table], tuple[np.ndarray, str]]
"""(labelled train rows, their classes, rows to classify) to the classes predicted, and a remark on the fit."""


def retrieval(embedded: Embedded) -> list[Score]:
    """R@1, R@5, R@10 and median rank from each modality to each other; the gallery is every row that has both."""
    scores = []
    for a, b, x, y in _pairs(embedded):
        for name, queries, gallery in ((f"{a} → {b}", x, y), (f"{b} → {a}", y, x)):
            found = ranks(queries.z, gallery.z, queries.ids, gallery.ids)
            scores += [
                Score(f"R@{k}", name, found.recall(k), queries, chance=found.chance(k), percent=True) for k in RECALLS
            ]
            rank = found.rank()
            scores.append(
                Score(
                    "median rank", name, rank, queries, "median", found.chance_rank(), "low", note=f"of {found.gallery}"
                )
            )
    return scores


def geometry(embedded: Embedded) -> list[Score]:
    """Effective rank and uniformity of each modality; alignment and modality gap of each pair."""
    scores = []
    for modality, table in embedded.tables(embedded.split, "projected").items():
        most = min(table.z.shape)
        rank = shape.effective_rank(table.z)
        scores.append(Score("effective rank", modality, rank, better=None, note=f"of at most {most}"))
        if len(table) > 1:
            scores.append(Score("uniformity", modality, shape.uniformity(table.z), better=None))
    for a, b, x, y in _pairs(embedded):
        distances = shape.alignment(x.z, y.z).double().numpy()
        scores.append(Score("alignment", f"{a} – {b}", distances, x, better=None))
        scores.append(Score("modality gap", f"{a} – {b}", shape.modality_gap(x.z, y.z), better=None))
    return scores


def nearest_neighbours(embedded: Embedded) -> list[Score]:
    """Top-1 accuracy of weighted cosine 20-NN: on the encoder's features, and, ``a → b``, in the space of several modalities.

    The latter are compared where the loss compares them: a thing seen in ``a`` gets the class of its neighbours in ``b``, which may
    be ``a`` itself. ``each → itself`` is the mean of ``a → a`` over the modalities that a thing has.
    """

    def classify(train: Table, labels: np.ndarray, test: Table) -> tuple[np.ndarray, str]:
        return knn(train.z, labels, test.z), ""

    scores = _accuracies(embedded, "kNN", classify)
    if not scores:
        return []
    train, test = (embedded.tables(split, "projected") for split in ("train", embedded.split))
    together = {m for a, b, _, _ in _pairs(embedded) for m in (a, b)}
    own = [
        s
        for a in test
        if a in together & set(train)
        for s in _accuracy(embedded, "kNN", f"{a} → {a}", train[a], test[a], classify)
    ]
    scores += [*own, *([_mean("each → itself", own)] if own else [])]
    for a, b in permutations(test, 2):
        if b in train and train[b].z.shape[1] == test[a].z.shape[1]:
            scores += _accuracy(embedded, "kNN", f"{a} → {b}", train[b], test[a], classify)
    return scores


def linear_probe(embedded: Embedded) -> list[Score]:
    """Top-1 accuracy of logistic regression on the encoder's features."""

    def classify(train: Table, labels: np.ndarray, test: Table) -> tuple[np.ndarray, str]:
        fit = probe("linear", train.z.numpy(), labels, test.z.numpy(), train.groups, embedded.seed)
        return fit.predicted, f"C={fit.C:g} by {fit.folds} folds of train"

    return _accuracies(embedded, "linear probe", classify)


def linear_svm(embedded: Embedded) -> list[Score]:
    """Top-1 accuracy of a linear support vector machine on the encoder's features."""

    def classify(train: Table, labels: np.ndarray, test: Table) -> tuple[np.ndarray, str]:
        fit = probe("svm", train.z.numpy(), labels, test.z.numpy(), train.groups, embedded.seed)
        return fit.predicted, f"C={fit.C:g} by {fit.folds} folds of train"

    return _accuracies(embedded, "linear SVM", classify)


def label_retrieval(embedded: Embedded) -> list[Score]:
    """Whether the first 1, 5, 10, 20 or 50 of the train split hold one of the query's class, by the encoder's features.

    The gallery's mean is taken off both, and they are compared by cosine, as papers on clips do (CoCLR, Han et al., NeurIPS 2020,
    whose code takes off each split's own mean). A query of a class that the gallery lacks finds nothing.
    """
    train, test = (embedded.tables(split, "pooled") for split in ("train", embedded.split))
    scores = []
    for m in (m for m in test if m in train):
        both = _both(embedded, "class R@k", m, train[m], test[m])
        if both is None:
            continue
        gallery, queries = both
        assert gallery.labels is not None
        assert queries.labels is not None
        mean, known = gallery.z.mean(dim=0), np.isin(queries.labels, gallery.labels)
        asked = queries.take(known)
        assert asked.labels is not None
        found = ranks(asked.z - mean, gallery.z - mean, asked.labels, gallery.labels)
        note = f"{int((~known).sum())} queries of classes that train lacks find nothing" if not known.all() else ""
        for k in (k for k in CLASS_RECALLS if k <= len(gallery)):
            values = np.zeros(len(queries))
            values[known] = found.recall(k)
            chance = found.chance(k) * float(known.mean()) if known.any() else 0.0
            scores.append(Score(f"class R@{k}", m, values, queries, chance=chance, percent=True, note=note))
    return scores


def _both(embedded: Embedded, metric: str, of: str, train: Table, test: Table) -> tuple[Table, Table] | None:
    """The rows of each whose class is known; None, and ``embedded`` told why, unless train's are of two classes or more.

    Nothing is told where there is no label column: nobody asked for classes.
    """
    labelled = [t.take(~np.isnan(t.labels)) for t in (train, test) if t.labels is not None]
    if len(labelled) < 2:
        return None
    known, asked = labelled
    assert known.labels is not None
    if not (len(known) and len(asked)):
        why = f"is blank in all of {embedded.split if len(known) else 'train'}"
    elif len(np.unique(known.labels)) < 2:
        why = "has one value in train"
    else:
        return known, asked
    embedded.unmeasured[metric, of] = f"label {why}"
    return None


def _pairs(embedded: Embedded) -> Iterator[tuple[str, str, Table, Table]]:
    """Each pair of modalities in one space, with the rows that have both, in the same order."""
    tables = embedded.tables(embedded.split, "projected")
    for (a, x), (b, y) in combinations(tables.items(), 2):
        shared = np.intersect1d(x.ids, y.ids)
        if x.z.shape[1] == y.z.shape[1] and len(shared):
            yield a, b, x.take(np.isin(x.ids, shared)), y.take(np.isin(y.ids, shared))


def _mean(of: str, scores: list[Score]) -> Score:
    """A score a thing: the mean of those that it has."""
    tables = [s.queries for s in scores if s.queries is not None]
    ids, first, thing = np.unique(np.concatenate([t.ids for t in tables]), return_index=True, return_inverse=True)
    values = np.concatenate([np.asarray(s.values) for s in scores])
    groups = None if any(t.groups is None for t in tables) else np.concatenate([t.groups for t in tables])[first]
    chance = float(np.mean([s.chance for s in scores if s.chance is not None]))
    queries = Table(torch.empty(len(ids), 0), ids, groups=groups)
    found = np.bincount(thing, values) / np.bincount(thing)
    return Score(scores[0].metric, of, found, queries, chance=chance, percent=scores[0].percent)


def _accuracies(embedded: Embedded, metric: str, classify: Classifier) -> list[Score]:
    """A score per modality, on the encoder's features."""
    train, test = (embedded.tables(split, "pooled") for split in ("train", embedded.split))
    return [s for m in train if m in test for s in _accuracy(embedded, metric, m, train[m], test[m], classify)]


def _accuracy(embedded: Embedded, metric: str, of: str, train: Table, test: Table, classify: Classifier) -> list[Score]:
    """The score, if the train rows have two classes or more; chance is the train split's commonest class."""
    both = _both(embedded, metric, of, train, test)
    if both is None:
        return []
    train, test = both
    assert train.labels is not None
    assert test.labels is not None
    classes, counts = np.unique(train.labels, return_counts=True)
    predicted, note = classify(train, train.labels, test)
    unseen = int((~np.isin(test.labels, classes)).sum())
    if unseen:
        note = f"{note}; " * bool(note) + f"{unseen} rows of classes that train lacks count as wrong"
    majority = float((test.labels == classes[counts.argmax()]).mean())
    right = (predicted == test.labels).astype(float)
    return [Score(metric, of, right, test, chance=majority, percent=True, note=note)]
