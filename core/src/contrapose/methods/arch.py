"""Methods that take arguments: each returns a method as data, the very mapping that a preset's file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from contrapose.errors import ConfigError, did_you_mean

Data = dict[str, Any]

EDGE = ("pair", "tau", "loss", "weight", "same")
"""What a pair of the pair graph may say of itself."""


def pair_graph(
    pairs: Sequence[Sequence[str] | Mapping[str, Any]],
    tau: Any = 0.1,
    loss: Any = "nce",
    hidden: int = 512,
    out: int = 128,
) -> Data:
    """A branch for each modality, and a term for each pair: ``[a, a]`` contrasts a's views, ``[a, b]`` joins two modalities.

    A cross-modal pair is symmetric, its anchors and keys are the samples that have both, and only the other modality's rows
    are negatives, as in CLIP. Each pair is reported under its name ``a~b``.

    Args:
        pairs: of modalities: ``[a, b]``, or ``{pair: [a, b]}`` with its own ``tau``, ``loss`` or ``weight`` (1), and ``same``, a
            column of the data: samples that agree in it are positives of each other too (SupCon's L_out).
        tau: temperature of every other pair: a number, a schedule, or ``{learn: tau}`` for one of its own for each.
        loss: node of every other pair's loss.
        hidden: width of the projectors' hidden layer.
        out: width of the shared space.
    """
    if not pairs:
        raise ConfigError("lists pairs of modalities, like [[a, b], [b, b]]", ("pairs",))
    terms: Data = {}
    branches: Data = {}
    for i, node in enumerate(pairs):
        edge = {"tau": tau, "loss": loss, "weight": 1.0, "same": None, **_edge(node, ("pairs", i))}
        a, b = edge.pop("pair")
        for m in (a, b):
            branches[m] = {"views": f"{m}/*", "projector": {"use": "mlp", "hidden": hidden, "out": out}}
        if f"{a}~{b}" in terms:
            raise ConfigError(f"the pair {a}~{b} is there twice", ("pairs", i))
        same = edge.pop("same")
        alike = "same(sample)" if same is None else f"(same(sample) or same({same}))"
        terms[f"{a}~{b}"] = (_within(a, alike) if a == b else _across(a, b, alike)) | edge
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


def _edge(node: Any, path: tuple[str | int, ...]) -> Mapping[str, Any]:
    """A pair as a mapping, its keys checked."""
    edge = node if isinstance(node, Mapping) else {"pair": node}
    for key in edge:
        if key not in EDGE:
            raise ConfigError(f"unknown key {key!r} of a pair{did_you_mean(str(key), EDGE)}", (*path, key))
    pair = edge.get("pair")
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise ConfigError(f"expected two modalities, like [a, b], got {pair!r}", path)
    return edge


def _within(m: str, alike: str) -> Data:
    return {"query": m, "keys": [m], "positives": f"{alike} and not self", "denominator": "not self"}


def _across(a: str, b: str, alike: str) -> Data:
    return {
        "query": [a, b],
        "keys": [a, b],
        "positives": f"{alike} and not same(origin)",
        "denominator": f"not same(origin) and has({a}) and has({b})",
    }


def _linear(data: Data, out: int) -> Data:
    return {m: b | {"projector": {"use": "linear", "out": out}} for m, b in data["branches"].items()}
