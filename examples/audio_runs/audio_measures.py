"""What is asked of features: the family of a note, the kind of a sound, the same prompt in another language."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from contrapose.evaluate.knn import knn
from contrapose.evaluate.linear import probe

Array = NDArray[Any]
RANKS = (1, 5, 10)
NEAR = 10
"""Prompts of about one length among which one is to be found."""


def families(
    train: Array, labels: Array, pitches: Array, parts: dict[str, tuple[Array, Array]], seed: int
) -> dict[str, float]:
    """Accuracy of kNN and of a linear probe fitted on ``train`` (n, D), for each of ``parts`` (features, labels).

    The probe's penalty is chosen by cross-validation over ``pitches`` of the train notes.
    """
    features = np.concatenate([of for of, _ in parts.values()])
    near = knn(torch.from_numpy(train), labels, torch.from_numpy(features))
    told = probe("linear", train, labels, features, groups=pitches, seed=seed).predicted
    found, start = {}, 0
    for name, (of, wanted) in parts.items():
        here = slice(start, start + len(of))
        found |= {f"{name} {how}": float((p[here] == wanted).mean()) for how, p in (("knn", near), ("linear", told))}
        start += len(of)
    return found


def left_out(features: Array, labels: Array, k: int = 5) -> float:
    """Accuracy of kNN (k nearest, weighted) that tells each of (n, D) by all others."""
    z = torch.from_numpy(features)
    others = [np.delete(np.arange(len(z)), i) for i in range(len(z))]
    told = [knn(z[rest], labels[rest], z[i : i + 1], k=k)[0] for i, rest in enumerate(others)]
    return float((np.array(told) == labels).mean())


def centred(features: Array, languages: Array, train: Array) -> Array:
    """Features without the mean of their language over the ``train`` rows (a mask), to unit length: so voices matter less."""
    made = features.astype(np.float64)
    for language in np.unique(languages):
        rows = languages == language
        made[rows] -= made[rows & train].mean(axis=0)
    unit: Array = made / np.linalg.norm(made, axis=1, keepdims=True).clip(1e-12)
    return unit


def across(features: Array, languages: Array, prompts: Array, seconds: Array) -> dict[str, float]:
    """The same prompt in another language: mean over the ordered pairs of languages, each prompt once in each.

    ``r@k``: it is among the k likest of all prompts. ``matched``: it is the likest of the ten that are nearest to it in length,
    itself among them. Likeness is the dot product of ``features`` (n, D); a tie counts as lost.
    """
    order = {of: np.flatnonzero(languages == of)[np.argsort(prompts[languages == of])] for of in np.unique(languages)}
    found: dict[str, list[float]] = {f"r@{k}": [] for k in RANKS} | {"matched": []}
    for a, b in permutations(order, 2):
        scores = features[order[a]] @ features[order[b]].T
        right = scores.diagonal()[:, None]
        others = (scores >= right) & ~np.eye(len(scores), dtype=bool)
        for k in RANKS:
            found[f"r@{k}"].append(float((others.sum(axis=1) < k).mean()))
        length = seconds[order[b]]
        apart = np.abs(length[:, None] - length) - np.eye(len(length))  # itself is the nearest
        near = np.argsort(apart, axis=1, kind="stable")[:, :NEAR]
        found["matched"].append(float((~np.take_along_axis(others, near, axis=1).any(axis=1)).mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def by_length(seconds: Array) -> Array:
    """Features (n, 2) whose dot product is the greater the likelier two durations: points on an arc, by the logarithm."""
    angle = np.log(seconds)
    angle = (angle - angle.min()) / np.ptp(angle) * np.pi / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
