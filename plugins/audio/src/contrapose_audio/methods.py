"""Methods of sounds: they take arguments, and return a method as data."""

from __future__ import annotations

from typing import Any, Literal

from contrapose_audio.arguments import Count, Positive

Data = dict[str, Any]


def cola(similarity: Literal["bilinear", "cosine"] = "bilinear", tau: Positive = 0.2, out: Count = 512) -> Data:
    """COLA (Saeed et al., ICASSP 2021): each recording's anchor finds its positive among those of the batch, one way.

    ``bilinear`` is the paper's better one: the similarity is ``g(a)' W g(b)`` of projections that end in LayerNorm and tanh, and W
    is a linear predictor of the anchor; there is no temperature. ``cosine`` divides that of linear projections by ``tau``.

    Args:
        similarity: of an anchor and a positive.
        tau: temperature of the cosine, 0.2 in the paper.
        out: width of the projection.
    """
    bilinear = similarity == "bilinear"
    branch = {"views": "*", "projector": {"use": "audio/tanh" if bilinear else "linear", "out": out}}
    term = {
        "query": "online/anchor",
        "keys": ["online.projected/positive"],
        "positives": "same(sample)",
        "tau": 1.0 if bilinear else tau,
        "normalize": not bilinear,
    }
    if bilinear:
        branch["predictor"] = {"use": "linear", "out": out, "bias": False}
    return {"slots": ["anchor", "positive"], "branches": {"online": branch}, "terms": {"info_nce": term}}
