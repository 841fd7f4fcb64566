"""Linear classifiers on frozen embeddings, their penalty chosen by cross-validation on the train split alone."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

PENALTIES = {"linear": (0.1, 1.0, 10.0, 100.0), "svm": (0.03, 0.3, 3.0)}
"""Inverse penalties C that are tried. Rows are scaled to about unit length, so these ranges hold for any encoder."""


@dataclass(frozen=True)
class Fit:
    """The classes ``predicted`` (m,) for the test rows, the ``C`` chosen, and by how many ``folds`` (0: too few)."""

    predicted: np.ndarray
    C: float
    folds: int


def probe(
    kind: Literal["linear", "svm"],
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Fit:
    """Fit logistic regression or a linear SVM on ``train`` (n, D), ``labels`` (n,); classify ``test`` (m, D).

    Features are standardised with the train rows' statistics and divided by sqrt(D). C comes from :data:`PENALTIES` by stratified
    cross-validation on the train rows; with ``groups`` (n,) no group lies on both sides of a fold. Needs two classes.
    """
    if kind == "linear":
        model: Any = LogisticRegression(max_iter=1000)
    else:
        model = LinearSVC(dual="auto", tol=1e-3, max_iter=1000, random_state=seed)
    pipeline = make_pipeline(StandardScaler(), FunctionTransformer(lambda x: x / math.sqrt(x.shape[1])), model)
    key = f"{type(model).__name__.lower()}__C"
    folds = splits(labels, groups, seed)
    # Threads don't pay on features this small, and on a busy machine those of BLAS wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        # A C so weak that its solver runs out of iterations is still a candidate, judged by its held-out accuracy.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if not folds:
            chosen = PENALTIES[kind][1]
            return Fit(pipeline.set_params(**{key: chosen}).fit(train, labels).predict(test), chosen, 0)
        search = GridSearchCV(pipeline, {key: PENALTIES[kind]}, cv=folds, scoring="accuracy").fit(train, labels)
    return Fit(search.predict(test), float(search.best_params_[key]), len(folds))


def splits(
    labels: np.ndarray, groups: np.ndarray | None, seed: int = 0, most: int = 5
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to ``most`` folds (fit rows, held-out rows), stratified, no group on both sides; [] if there is too little."""
    counts = np.unique(labels, return_counts=True)[1]
    number = min(most, int(counts.max()))
    if groups is not None:
        number = min(number, len(np.unique(groups)))
    if number < 2:
        return []
    splitter = StratifiedGroupKFold if groups is not None else StratifiedKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class rarer than the folds is merely absent from some
        folds = list(splitter(number, shuffle=True, random_state=seed).split(labels, labels, groups))
    return [(fit, held) for fit, held in folds if len(held) and len(np.unique(labels[fit])) > 1]
