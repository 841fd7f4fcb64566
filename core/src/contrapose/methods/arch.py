"""Methods that take arguments: each returns a method as data, the very mapping that a preset's file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contrapose.errors import ConfigError

Data = dict[str, Any]


def pair_graph(
    pairs: Sequence[Sequence[str]],
    tau: Any = 0.1,
    loss: Any = "nce",
    weights: Mapping[str, float] | None = None,
    hidden: int = 512,
    out: int = 128,
) -> Data:
    """A branch for each modality, and a term for each pair: ``[a, a]`` contrasts a's views, ``[a, b]`` joins two modalities.

    A cross-modal pair is symmetric, its anchors and keys are the samples that have both, and only the other modality's rows
    are negatives, as in CLIP. Each pair is reported under its name ``a~b``.

    Args:
        pairs: of modalities.
        tau: temperature, schedule, or ``{learn: tau}`` for one of its own for each pair.
        loss: node of the loss.
        weights: by pair name; 1 where it isn't given.
        hidden: width of the projectors' hidden layer.
        out: width of the shared space.
    """
    if not pairs or any(len(p) != 2 for p in pairs):
        raise ConfigError("pairs: lists pairs of modalities, like [[a, b], [b, b]]", ("pairs",))
    names = dict.fromkeys(m for p in pairs for m in p)
    branches = {m: {"views": f"{m}/*", "projector": {"use": "mlp", "hidden": hidden, "out": out}} for m in names}
    terms = {}
    for a, b in pairs:
        name = f"{a}~{b}"
        term = _within(a) if a == b else _across(a, b)
        terms[name] = term | {"loss": loss, "tau": tau, "weight": (weights or {}).get(name, 1.0)}
    for name in weights or {}:
        if name not in terms:
            raise ConfigError(f"weights: there is no pair {name!r}; there is {', '.join(terms)}", ("weights",))
    return {"branches": branches, "terms": terms}


def clip(pair: Sequence[str], tau: float = 0.07, out: int = 512) -> Data:
    """Two modalities, linear projections and one learnt temperature (CLIP, Radford et al. 2021, figure 3)."""
    data = pair_graph([pair], tau={"learn": tau}, out=out)
    return data | {"branches": _linear(data, out)}


def siglip(pair: Sequence[str], tau: float = 0.1, bias: float = -10.0, out: int = 512) -> Data:
    """Two modalities, every pair a binary choice, learnt temperature and bias (SigLIP, Zhai et al. 2023, algorithm 1)."""
    a, b = pair
    data = pair_graph([pair], out=out)
    term = {
        "query": a,
        "keys": [b],
        "positives": "same(sample)",
        "denominator": f"has({a})",
        "loss": "sigmoid",
        "tau": {"learn": tau, "max_scale": 1e4},
        "bias": {"learn": bias},
    }
    return {"branches": _linear(data, out), "terms": {f"{a}~{b}": term}}


def gram(anchor: str, others: Sequence[str], tau: float = 0.07, out: int = 512) -> Data:
    """Contrast the volume that an anchor spans with its sample's other modalities, both ways (GRAM, Cicchetti et al. 2025)."""
    data = pair_graph([[anchor, o] for o in others], out=out)
    term = {"positives": "same(sample)", "similarity": "volume", "tau": tau, "weight": 0.5}
    complete = " and ".join(f"has({m})" for m in (anchor, *others))
    return {
        "branches": _linear(data, out),
        "sources": {"others": {"use": "stack", "of": list(others)}},
        "terms": {
            "anchor to others": term | {"query": anchor, "keys": ["others"], "denominator": complete},
            "others to anchor": term | {"query": "others", "keys": [anchor], "denominator": complete},
        },
    }


def _within(m: str) -> Data:
    return {"query": m, "keys": [m], "positives": "same(sample) and not self", "denominator": "not self"}


def _across(a: str, b: str) -> Data:
    return {
        "query": [a, b],
        "keys": [a, b],
        "positives": "same(sample) and not same(origin)",
        "denominator": f"not same(origin) and has({a}) and has({b})",
    }


def _linear(data: Data, out: int) -> Data:
    return {m: b | {"projector": {"use": "linear", "out": out}} for m, b in data["branches"].items()}
