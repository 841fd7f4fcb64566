"""Methods that score more than two modalities at once, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from contrapose.errors import ConfigError
from contrapose.methods.arch import Data, linear, pair_graph


def gram(anchor: str, others: Sequence[str], tau: float = 0.07, out: int = 512) -> Data:
    """Contrast the volume that an anchor spans with its sample's other modalities, both ways (GRAM, Cicchetti et al. 2025)."""
    data = pair_graph([[anchor, o] for o in others], out=out)
    term = {"positives": "same(sample)", "similarity": "volume", "tau": tau, "weight": 0.5}
    complete = " and ".join(f"has({m})" for m in (anchor, *others))
    return {
        "branches": linear(data, out),
        "sources": {"others": {"use": "stack", "of": list(others)}},
        "terms": {
            "anchor to others": term | {"query": anchor, "keys": ["others"], "denominator": complete},
            "others to anchor": term | {"query": "others", "keys": [anchor], "denominator": complete},
        },
    }


def symile(
    modalities: Sequence[str],
    negatives: Literal["all", "shuffled"] = "shuffled",
    tau: float | None = None,
    out: int = 512,
) -> Data:
    """Contrast the inner product of all modalities at once, each the anchor in turn (Symile, Saporta et al. 2024).

    Args:
        modalities: three or more.
        negatives: ``all`` combinations of the other modalities' samples, N^(M - 1) an anchor, or N - 1 ``shuffled`` ones, the
            authors' ``n_squared`` and ``n``.
        tau: at the start, learnt and shared. That of M unit vectors is smaller than that of two by ``out^((M - 2) / 2)``, and so
            is the default, CLIP's 0.07 divided by that.
        out: width of the shared space.
    """
    if len(modalities) < 3:
        raise ConfigError("lists three modalities or more; for two there is clip", ("modalities",))
    smaller = out ** ((len(modalities) - 2) / 2)
    data = pair_graph([[modalities[0], m] for m in modalities[1:]])
    sources, terms = {}, {}
    for anchor in modalities:
        others = [m for m in modalities if m != anchor]
        product, mixed = f"product_{anchor}", f"mixed_{anchor}"
        sources[mixed] = {"use": "combinations", "of": others, "draw": negatives, "having": [anchor]}
        if negatives == "all":
            keys, positives, denominator = [mixed], "same(sample)", "all"
        else:
            sources[product] = {"use": "product", "of": others}
            keys, positives = [product, mixed], f"same(sample) and origin({product})"
            denominator = f"positive or origin({mixed}) and not same(sample)"
        terms[anchor] = {
            "query": anchor,
            "keys": keys,
            "positives": positives,
            "denominator": denominator,
            "loss": "nce",
            "tau": "tau",
            "weight": 1 / len(modalities),
        }
    return {
        "branches": linear(data, out),
        "sources": sources,
        "temperatures": {"tau": {"learn": 0.07 / smaller if tau is None else tau, "max_scale": 100 * smaller}},
        "terms": terms,
    }
