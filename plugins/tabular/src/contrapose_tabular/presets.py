"""SubTab's method, whose terms go through all pairs of subsets."""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Any

from pydantic import Field


def subtab(subsets: Annotated[int, Field(ge=2)] = 4, width: Annotated[int, Field(ge=1)] = 256) -> dict[str, Any]:
    """Subsets of a row's columns agree, pair by pair, and each tells the whole row (Ucar et al. 2021, arXiv:2110.04361).

    The contrastive and the distance loss as in github.com/AstraZeneca/SubTab (utils/loss_functions.py): NT-Xent over the
    rows of each pair alone, and squared distances of the unit vectors, both averaged over the pairs. Where theirs has leaky
    ReLUs, the head has ReLUs. Views: ``{tabular: tabular/subsets, tabular.clean: tabular/eval}``.

    Args:
        subsets: how many there are, in the slots ``subset_0``, ``subset_1``, ...
        width: of the head's two layers; the authors' are as wide as the encoder.
    """
    slots = [f"subset_{n}" for n in range(subsets)]
    pairs = list(combinations(slots, 2))
    both = {"positives": "same(sample) and not self", "denominator": "not self"}
    terms: dict[str, Any] = {
        "reconstruction": {
            "query": "online.pooled",
            "loss": {"use": "tabular/reconstruct", "target": "clean", "columns": "sum"},
        },
        "distance": {"query": "online", "keys": ["online"], "loss": "cosine", "tau": 1.0, **both},
    }
    for a, b in pairs:
        rows = [f"online/{a}", f"online/{b}"]
        terms[f"{a}~{b}"] = {"query": rows, "keys": rows, "tau": 0.1, "weight": 1 / len(pairs), **both}
    head = {"use": "mlp", "hidden": width, "out": width, "norm": "none"}
    return {
        "slots": [*slots, "clean"],
        "branches": {"online": {"views": "subset_*", "projector": head}},
        "terms": terms,
    }
