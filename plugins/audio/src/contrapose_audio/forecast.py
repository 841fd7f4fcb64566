"""CPC on waves, as a method."""

from __future__ import annotations

from typing import Any

from contrapose_audio.arguments import Count


def cpc_audio(steps: Count = 12, negatives: Count = 128, width: Count = 256, hidden: Count = 256) -> dict[str, Any]:
    """What came so far of a wave predicts each of its next frames among drawn ones (CPC, van den Oord et al. 2018), as in
    CPC_audio.

    A GRU sums up the frames so far; a linear map a step predicts the frame that comes then. Scores are means over the width,
    and the losses of the steps add up (``CPCUnsupersivedCriterion``). For each prediction ``negatives`` frames are drawn from
    the whole batch, where the authors draw them once for all steps of a context and never at its own time; they cost
    (predictions x negatives x width) numbers. The core's ``cpc`` contrasts with all others at once instead.

    Args:
        steps: how many frames ahead are predicted, each from every context that has them all.
        negatives: frames that are drawn for each prediction.
        width: of the encoder's frames (``audio/cpc``).
        hidden: width of the context.
    """
    term = {
        "query": "context",
        "keys": ["local", "negatives"],
        "positives": "same(sample) and same(view) and same(target, to=position) and origin(local)",
        "denominator": "positive or origin(negatives)",
        "loss": "nce",
        "tau": float(width),
        "normalize": False,
        "weight": float(steps),
    }
    ahead = {"use": "forecast", "steps": steps, "hidden": hidden}
    return {
        "slots": ["clip"],
        "branches": {
            "local": {"views": "*", "tap": "dense"},
            "context": {"views": "*", "of": "local", "tap": "dense", "predictor": ahead},
        },
        "sources": {"negatives": {"use": "drawn", "of": "local", "query": "context", "count": negatives}},
        "terms": {"ahead": term},
    }
