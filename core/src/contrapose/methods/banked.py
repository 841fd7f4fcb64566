"""Methods that tell each sample's entry in a memory bank from noise: they take arguments, and return a method as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Literal

from contrapose.errors import ConfigError

Data = dict[str, Any]


def npid(
    negatives: int = 4096, tau: float = 0.07, momentum: float = 0.5, proximal: float = 0.0, out: int = 128
) -> Data:
    """Tell a sample's entry in a memory bank from drawn entries (instance discrimination, Wu et al. 2018, section 3).

    The binary NCE loss of the authors' code, ``-log h(own) - sum log (1 - h(drawn))`` with ``h = P / (P + negatives / N)`` and
    ``P = e^(s / tau) / Z``, is the sigmoid loss with the bias ``-log(negatives Z / N)`` (``noise_bias``).

    Args:
        negatives: entries that are drawn for each anchor.
        tau: temperature.
        momentum: share of the old entry when it moves.
        proximal: lambda of eq. 10, the weight of an embedding's squared distance from its entry. It is the paper's, the momentum
            that of the authors' code. On small data and at high rates the momentum alone may let the loss diverge: try 30.
        out: width of the embedding.
    """
    near = {
        "query": "online",
        "keys": ["bank.batch"],
        "positives": "same(sample)",
        "denominator": "positive",
        "loss": "cosine",
        "tau": 1.0,
        "weight": proximal,
    }
    return {
        "slots": ["a"],
        "branches": {"online": {"views": "*", "projector": {"use": "linear", "out": out}}},
        "sources": {
            "bank": {"use": "bank", "of": "online", "momentum": momentum},
            "noise": _noise("online", negatives),
        },
        "terms": {
            "npid": _told("online", "bank", "noise", noise_bias(negatives, out, tau), tau),
            **({"proximal": near} if proximal else {}),
        },
    }


def cmc_bank(
    modalities: Sequence[str],
    graph: Literal["full", "core"] = "full",
    negatives: int = 16384,
    tau: float = 0.07,
    momentum: float = 0.5,
    out: int = 128,
    softmax: bool = False,
) -> Data:
    """Each modality tells the others' entries in their banks from noise (CMC, Tian et al. 2020).

    Both directions of each pair are summed, as in the authors' code, and so are the pairs. The loss is that of ``npid``, or the
    cross-entropy over a sample's own entry and those drawn.

    Args:
        modalities: at least two; by default all of the data's.
        graph: ``full`` joins every pair, ``core`` the first modality with each other one.
        negatives: entries that are drawn for each anchor.
        tau: temperature.
        momentum: share of the old entry when it moves.
        out: width of the shared space.
        softmax: cross-entropy in place of NCE, as under ``--softmax`` of the authors' code. It learns sooner.
    """
    if len(set(modalities)) < 2:
        raise ConfigError(f"expected at least two modalities, got {', '.join(modalities)}", ("modalities",))
    pairs = [p for p in combinations(modalities, 2) if graph == "full" or modalities[0] in p]
    bias = noise_bias(negatives, out, tau)
    loss = {"loss": "nce", "bias": None} if softmax else {}
    both = [edge for a, b in pairs for edge in ((a, b), (b, a))]
    return {
        "branches": {m: {"views": f"{m}/*", "projector": {"use": "linear", "out": out}} for m in modalities},
        "sources": {
            **{f"{m}_bank": {"use": "bank", "of": m, "momentum": momentum} for m in modalities},
            **{f"{a}_{b}_noise": _noise(a, negatives, f"{b}_bank") for a, b in both},
        },
        "terms": {f"{a} to {b}": _told(a, f"{b}_bank", f"{a}_{b}_noise", bias, tau) | loss for a, b in both},
    }


def noise_bias(negatives: int, dim: int, tau: float) -> float:
    """``-log(negatives Z / N)``, Z / N being the mean of e^(s / tau) over entries that are random directions in ``dim`` dimensions.

    The authors' code takes Z, once, from the first batch, whose bank is random; this is what it estimates there:
    ``0F1(dim / 2; 1 / (2 tau)^2)``, summed here in logarithms.
    """
    for argument, value in {"negatives": negatives, "out": dim, "tau": tau}.items():
        if not value > 0:
            raise ConfigError(f"expected more than 0, got {value}", (argument,))
    half, x = dim / 2, -2 * math.log(2 * tau)
    term, total, k = 0.0, 0.0, 0  # logarithms of the k-th term and of the sum so far
    while term > total - 40 or k < half:
        k += 1
        term += x - math.log(k) - math.log(half + k - 1)
        total += (
            math.log1p(math.exp(term - total)) if term < total else term - total + math.log1p(math.exp(total - term))
        )
    return -math.log(negatives) - total


def _noise(query: str, count: int, of: str = "bank") -> Data:
    return {"use": "drawn", "query": query, "of": of, "count": count}


def _told(query: str, bank: str, noise: str, bias: float, tau: float) -> Data:
    return {
        "query": query,
        "keys": [f"{bank}.batch", noise],
        "positives": f"same(sample) and origin({bank})",
        "denominator": f"positive or origin({noise})",
        "loss": "sigmoid",
        "tau": tau,
        "bias": bias,
    }
