"""What hand-made features know without a network: a linear CCA for each pair of modalities, a random forest on clouds."""

from __future__ import annotations

import io
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_union
from threadpoolctl import threadpool_limits

from contrapose.evaluate.retrieval import ranks

RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Added to each side's covariance, in mean eigenvalues of it."""
WIDTHS = (10, 20, 40, 80)
"""Canonical directions that are kept."""
POWERS = (0.0, 1.0, 2.0)
"""A direction counts by this power of its correlation."""
FOLDS, PRINCIPAL, PAIRS = 5, 100, 4096
SETTINGS = (RIDGES, WIDTHS, POWERS, FOLDS, PRINCIPAL, PAIRS)
"""By which a result is known to be of these baselines."""


def cloud_features(cloud: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, 3) to (304,): extents, moments, how far random pairs are apart (D2, Osada et al. 2002), where the points are."""
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    centred = cloud - cloud.mean(axis=0)
    cov = (centred.T @ centred / len(cloud))[np.triu_indices(3)]
    i, j = rng.integers(len(cloud), size=(2, PAIRS))
    d2 = np.histogram(np.linalg.norm(cloud[i] - cloud[j], axis=1), bins=32, range=(0, 2))[0] / PAIRS
    profiles = [np.histogram(cloud[:, k], bins=12, range=(-1, 1))[0] for k in range(3)]
    round_axis = np.histogram(np.linalg.norm(cloud[:, [0, 2]], axis=1), bins=8, range=(0, 1))[0]
    grid = np.histogramdd((cloud - low) / np.maximum(high - low, 1e-6), bins=6, range=[(0, 1)] * 3)[0].ravel()
    shares = np.concatenate([*profiles, round_axis, grid]) / len(cloud)
    return np.concatenate([high - low, np.sqrt(np.abs(cov)), (centred**3).mean(axis=0), np.sqrt(d2), np.sqrt(shares)])


def image_features(png: bytes) -> np.ndarray:
    """A PNG on white to (578,): colours of what isn't white, a grey thumbnail, the silhouette's thumbnail, its box."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    pixels = np.asarray(picture, dtype=np.float32) / 255
    mask = pixels.min(axis=2) < 0.97
    inside = pixels[mask] if mask.any() else np.ones((1, 3))
    colours = np.histogramdd(inside, bins=4, range=[(0, 1)] * 3)[0].ravel() / len(inside)
    small = (16, 16)
    grey = np.asarray(picture.convert("L").resize(small, Image.Resampling.BOX), dtype=np.float32) / 255
    shape = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(small, Image.Resampling.BOX)) / 255
    rows, columns = mask.mean(axis=1) > 0, mask.mean(axis=0) > 0
    return np.concatenate([np.sqrt(colours), grey.ravel(), shape.ravel(), [rows.mean(), columns.mean()]])


def table_features(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Sizes in cm to (n, 9): their logarithms, proportions, and whether it hangs or moves."""
    width, depth, height = (np.log(np.maximum(columns[c], 0.1)) for c in ("width", "depth", "height"))
    elevation = columns["elevation"]
    ratios = (width - height, depth - height, depth - width)
    rest = (np.log1p(np.maximum(elevation, 0)), elevation > 0, columns["movable"])
    return np.stack([width, depth, height, *ratios, *rest], axis=1).astype(np.float64)


def features(data: str | Path, train: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Of each modality (n, D), all rows; word counts are fitted on ``train``."""
    table = pq.read_table(data)
    rng = np.random.default_rng(seed)
    clouds = [np.load(io.BytesIO(c)).astype(np.float64) for c in table["cloud"].to_pylist()]
    names = table["name"].to_pylist()
    words = make_union(
        TfidfVectorizer(sublinear_tf=True), TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    ).fit([names[i] for i in train])
    counts = words.transform(names)
    svd = TruncatedSVD(min(PRINCIPAL, len(train) - 1), random_state=seed).fit(counts[train])
    sizes = {c: np.asarray(table[c], dtype=np.float64) for c in ("width", "depth", "height", "elevation", "movable")}
    return {
        "pointcloud": np.stack([cloud_features(c, rng) for c in clouds]),
        "image": np.stack([image_features(p) for p in table["icon"].to_pylist()]),
        "text": svd.transform(counts),
        "tabular": table_features(sizes),
    }


class CCA:
    """Canonical correlations of two tables with a ridge (Vinod 1976), on standardised principal components."""

    def __init__(self, x: np.ndarray, y: np.ndarray, ridge: float) -> None:
        self.sides = [_Side(x, ridge), _Side(y, ridge)]
        a, b = (side.white(z) for side, z in zip(self.sides, (x, y), strict=True))
        u, self.correlations, vt = np.linalg.svd(a.T @ b / len(x), full_matrices=False)
        self.turns = [u, vt.T]

    def project(self, side: int, z: np.ndarray, width: int, power: float) -> np.ndarray:
        """Rows of the first (0) or second (1) table to (n, width)."""
        return (self.sides[side].white(z) @ self.turns[side] * self.correlations**power)[:, :width]


class _Side:
    """One table: standardised, to principal components, whitened by the covariance with a ridge."""

    def __init__(self, x: np.ndarray, ridge: float) -> None:
        self.mean, self.std = x.mean(axis=0), x.std(axis=0) + 1e-6
        self.pca = PCA(min(PRINCIPAL, *x.shape), svd_solver="full").fit((x - self.mean) / self.std)
        spread = self.pca.explained_variance_
        self.scale = 1 / np.sqrt(spread + ridge * spread.mean())

    def white(self, x: np.ndarray) -> np.ndarray:
        made: np.ndarray = self.pca.transform((x - self.mean) / self.std) * self.scale
        return made


def retrieved(x: np.ndarray, y: np.ndarray) -> Any:
    """Ranks of each row of ``x`` among those of ``y``."""
    ids = np.arange(len(x))
    return ranks(torch.from_numpy(x), torch.from_numpy(y), ids, ids)


def choose(x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int) -> tuple[float, int, float]:
    """Ridge, width and power of the best R@10, both ways, over folds of whole groups."""
    scores: dict[tuple[float, int, float], list[float]] = {}
    for fit, held in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, groups=groups):
        for ridge in RIDGES:
            cca = CCA(x[fit], y[fit], ridge)
            for width, power in product(WIDTHS, POWERS):
                p, q = (cca.project(side, z[held], width, power) for side, z in enumerate((x, y)))
                recall = [float(retrieved(*ends).recall(10).mean()) for ends in ((p, q), (q, p))]
                scores.setdefault((ridge, width, power), []).append(float(np.mean(recall)))
    return max(scores, key=lambda chosen: float(np.mean(scores[chosen])))


def forest(
    x: np.ndarray, meta: dict[str, np.ndarray], train: np.ndarray, test: np.ndarray, seed: int
) -> dict[str, Any]:
    """By task, whether a random forest of 300 trees on the clouds' features told each test piece."""
    from pairs import tasks

    sides = [{key: column[rows] for key, column in meta.items()} for rows in (train, test)]
    told = {}
    for task, (fit, held) in tasks(*sides).items():
        model = RandomForestClassifier(300, random_state=seed, n_jobs=1).fit(x[train[fit]], sides[0][task][fit])
        told[task] = {"right": (model.predict(x[test[held]]) == sides[1][task][held]).astype(int).tolist()}
    return told


def measure(data: str | Path, seed: int) -> dict[str, Any]:
    """Ranks on the test split by CCA, its settings from folds of the train split; and what the forest told, as ``svm``."""
    table = pq.read_table(data, columns=["split", "group", "noun", "room"])
    split, groups, noun, room = (np.asarray(table[c]) for c in ("split", "group", "noun", "room"))
    train, test = np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
    found: dict[str, list[list[float]]] = {}
    chosen = {}
    with threadpool_limits(1):
        made = features(data, train, seed)
        for a, b in combinations(made, 2):
            x, y = made[a], made[b]
            chosen[f"{a}~{b}"] = ridge, width, power = choose(x[train], y[train], groups[train], seed)
            cca = CCA(x[train], y[train], ridge)
            p, q = (cca.project(side, z[test], width, power) for side, z in enumerate((x, y)))
            for name, of in ((f"{a} → {b}", retrieved(p, q)), (f"{b} → {a}", retrieved(q, p))):
                found[name] = [of.ahead.tolist(), of.tied.tolist()]
        told = forest(made["pointcloud"], {"noun": noun, "room": room}, train, test, seed)
    return {"ranks": found, "svm": told, "chosen": chosen}
