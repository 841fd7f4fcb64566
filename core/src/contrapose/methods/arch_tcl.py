"""Triple contrastive learning of two modalities, as data."""

from __future__ import annotations

from collections.abc import Sequence

from contrapose.errors import ConfigError
from contrapose.methods.arch import Data


def tcl(
    pair: Sequence[str],
    local: Sequence[str] | None = None,
    alpha: float = 0.4,
    tau: float = 0.07,
    size: int = 65536,
    out: int = 256,
) -> Data:
    """Each modality against the momentum twin of the other, of itself, and of its own parts (TCL, Yang et al. 2022, eqs. 1 to 7).

    The contrastive part of the paper, six terms averaged: cross-modal alignment both ways, whose targets are a share ``alpha`` of
    the momentum twins' own softmax (rising from 0 over the first epoch), contrast within each modality, and of each modality's
    whole with the parts of its other view (a tap ``dense`` as wide as ``pooled``). Image-text matching and masked language
    modelling need a fusion encoder and aren't part of it. What differs from the authors' code (uta-smile/TCL): the temperature
    of the targets is ``tau`` as it starts, not as it is learnt; the parts are not pooled in squares first; those of other
    ranks are negatives too.

    Args:
        pair: the two modalities. Each needs the slots ``query`` and ``key``: two augmentations, or the same text twice.
        local: the modalities whose encoder has such a ``dense`` tap; both by default.
        alpha: share of the soft targets.
        tau: at the start, learnt and shared, between 0.001 and 0.5.
        size: of each queue.
        out: width of the shared space.
    """
    if len(pair) != 2:
        raise ConfigError("names two modalities, like [a, b]", ("pair",))
    local = pair if local is None else local
    share = 1 / (4 + len(local))
    branches: Data = {}
    sources: Data = {}
    terms: Data = {}
    shared: Data = {"denominator": "all", "loss": "nce", "tau": "tau"}
    for m, other in (pair, pair[::-1]):
        twin: Data = {"of": m, "weights": "ema", "momentum": 0.995}
        branches[m] = {"views": f"{m}/query", "projector": {"use": "linear", "out": out}}
        branches[f"{m}_key"] = {"views": f"{m}/key", **twin}
        sources[f"{m}_queue"] = {"use": "queue", "of": f"{m}_key", "size": size}
        sources[f"{m}_all"] = {"use": "union", "of": [f"{m}_key", f"{m}_queue"]}
        own, across = (
            {"keys": [f"{k}_key", f"{k}_queue"], "positives": f"same(sample) and origin({k}_key)"} for k in (m, other)
        )
        softly = {"use": "softmax", "of": f"{m}_key", "to": f"{other}_all", "tau": tau, "centre": None}
        terms |= {
            f"{m}~{other}": {"query": m, **across, **shared, "weight": _ramp(share, share * (1 - alpha))},
            f"{m}~{other}, softly": {
                "query": m,
                "keys": [f"{other}_all"],
                "positives": {"assign": softly, "link": "same(sample)"},
                **shared,
                "weight": _ramp(0.0, share * alpha),
            },
            f"{m}~{m}": {"query": m, **own, **shared, "weight": share},
        }
        if m in local:
            branches[f"{m}_parts"] = {"views": f"{m}/key", "tap": "dense", **twin}
            terms[f"{m}~parts"] = {
                "query": m,
                "keys": [f"{m}_parts"],
                "positives": "same(sample)",
                **shared,
                "loss": {"use": "nce", "denominator": "own"},
                "weight": share,
            }
    learnt = {"learn": tau, "max_scale": 1000.0, "min_scale": 2.0}
    return {
        "slots": ["query", "key"],
        "branches": branches,
        "sources": sources,
        "temperatures": {"tau": learnt},
        "terms": terms,
    }


def _ramp(start: float, end: float) -> Data:
    return {"linear": [start, end], "epochs": 1}
