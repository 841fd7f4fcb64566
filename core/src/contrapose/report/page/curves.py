"""The curves of ``metrics.csv``, thinned to what a screen can show."""

from __future__ import annotations

from typing import Any

import numpy as np

from contrapose.engine.metrics import Metrics

MOST = 400
"""Points of a curve; where a run has more steps, each is the mean of some, with their range behind it."""

CHARTS = {
    "loss": ("Loss", "lower is better within a run; the terms before their weights"),
    "top1": ("In-batch R@1", "the share of anchors whose most similar key is a positive one"),
    "top1_from": ("In-batch R@1, each way", "from one modality's anchors to the other's keys"),
    "gap": ("Modality gap", "between the mean unit vectors of two modalities, 0 to 2"),
    "samples": ("Samples", "of a step that have what a term needs"),
    "tau": ("Temperature", "where it is learnt or scheduled"),
    "weight": ("Weight", "where it is learnt or scheduled"),
    "spread": ("Spread", "of the normalised embeddings: 1 is healthy, 0 is collapsed"),
    "lr": ("Learning rate", ""),
}
"""By family of columns: title, and what one sees. Other families follow under their own name."""

SHARES = ("top1", "top1_from")
FROM_ZERO = ("top1", "top1_from", "gap", "samples", "spread", "lr")


def curves(metrics: Metrics) -> dict[str, Any] | None:
    """Steps, epochs and charts for the page, every series as long as ``steps``, None where it has no value; None without any."""
    order = list(CHARTS)
    families = sorted(metrics.families(), key=lambda f: order.index(f) if f in order else len(order))
    bins = np.array_split(np.arange(len(metrics)), min(len(metrics), MOST) or 1)
    charts = [chart for family in families if (chart := _chart(metrics, family, bins))]
    if not charts:
        return None
    return {
        "steps": [int(metrics.steps[b[-1]]) for b in bins],
        "epochs": [int(metrics.epochs[b[-1]]) + 1 for b in bins],
        "every": len(bins[0]),
        "charts": charts,
    }


def _chart(metrics: Metrics, family: str, bins: list[np.ndarray]) -> dict[str, Any] | None:
    found = metrics.losses() if family == "loss" else metrics.family(family) or {family: metrics.values[family]}
    series = [{"name": n, **_thinned(v, bins)} for n, v in found.items() if np.isfinite(v).any()]
    title, note = CHARTS.get(family, (family, ""))
    percent, zero = family in SHARES, family in FROM_ZERO
    return {"title": title, "note": note, "percent": percent, "zero": zero, "series": series} if series else None


def _thinned(values: np.ndarray, bins: list[np.ndarray]) -> dict[str, list[float | None]]:
    """``mean``, and where several steps share a point also ``low`` and ``high``."""
    parts = [values[b][np.isfinite(values[b])] for b in bins]
    made = {"mean": [_plain(p.mean()) if len(p) else None for p in parts]}
    if len(bins) < len(values):
        made["low"] = [_plain(p.min()) if len(p) else None for p in parts]
        made["high"] = [_plain(p.max()) if len(p) else None for p in parts]
    return made


def _plain(value: float) -> float:
    return float(f"{value:.5g}")
