"""Methods over pairs of modalities: each function returns a method as data, the very mapping that a preset's file holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Literal

from contrapose.errors import ConfigError, did_you_mean, warn
from contrapose.methods.shapes import Shape, drawn, islands, known

Data = dict[str, Any]

EDGE = ("pair", "tau", "loss", "weight", "same", "bias")
"""What a pair of the pair graph may say of itself."""


def pair_graph(
    pairs: Sequence[Sequence[str] | Mapping[str, Any]] = (),
    graph: Shape | None = None,
    modalities: Sequence[str] = (),
    centre: str | None = None,
    intra: bool | Sequence[str] = False,
    tau: Any = 0.1,
    loss: Any = "nce",
    hidden: int = 512,
    out: int = 128,
) -> Data:
    """A branch for each modality, and a term for each pair: ``[a, a]`` contrasts a's views, ``[a, b]`` joins two modalities.

    A cross-modal pair is symmetric, its anchors and keys are the samples that have both, and only the other modality's rows
    are negatives, as in CLIP. Each pair is reported under its name ``a~b``. What scores all modalities at once is `symile`
    or `gram`.

    Args:
        pairs: of modalities: ``[a, b]``, or ``{pair: [a, b]}`` with its own ``tau``, ``loss``, ``bias`` or ``weight`` (1), and
            ``same``, a column of the data: samples that agree in it are positives of each other too (SupCon's L_out). A pair that
            the graph has already is changed, another is added.
        graph: pairs by name: ``full``, every modality with every other; ``hub``, the ``centre`` with every other; ``chain``, each
            with the next.
        modalities: those of the graph, by default all of the run. Pairs may name no other.
        centre: of a hub.
        intra: contrast the views of each modality too (``[a, a]``), or of those that are listed.
        tau: temperature of every other pair: a number, a schedule, or ``{learn: tau}`` for one of its own for each.
        loss: node of every other pair's loss.
        hidden: width of the projectors' hidden layer.
        out: width of the shared space.
    """
    edges = {pair: {"tau": tau, "loss": loss, "weight": 1.0} for pair in _shaped(graph, modalities, centre, intra)}
    said: set[frozenset[str]] = set()
    for i, node in enumerate(pairs):
        edge = _edge(node, ("pairs", i))
        a, b = edge.pop("pair")
        for m in (a, b) if modalities else ():
            known(m, modalities, ("pairs", i))
        if frozenset((a, b)) in said:
            raise ConfigError(f"the pair {a}~{b} is there twice", ("pairs", i))
        said.add(frozenset((a, b)))
        pair = (b, a) if (b, a) in edges else (a, b)
        edges[pair] = {"tau": tau, "loss": loss, "weight": 1.0, **edges.get(pair, {}), **edge}
    if not edges:
        raise ConfigError(
            "lists pairs of modalities, like [[a, b], [b, b]], or names a graph: full, hub or chain", ("pairs",)
        )
    apart = islands(edges)
    if len(apart) > 1:
        names = " and ".join(", ".join(island) for island in apart)
        warn(f"no pairs lead from one to another of {names}: they share no space, and can't be compared")
    head = {"use": "mlp", "hidden": hidden, "out": out}
    branches = {m: {"views": f"{m}/*", "projector": dict(head)} for m in dict.fromkeys(chain.from_iterable(edges))}
    return {"branches": branches, "terms": {f"{a}~{b}": _term(a, b, **edge) for (a, b), edge in edges.items()}}


def clip(pair: Sequence[str], tau: float = 0.07, out: int = 512) -> Data:
    """Two modalities, linear projections and one learnt temperature (CLIP, Radford et al. 2021, figure 3)."""
    data = pair_graph([pair], tau={"learn": tau}, out=out)
    return data | {"branches": linear(data, out, bias=False)}


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
    return {"branches": linear(data, out), "terms": {f"{a}~{b}": term}}


def hub(centre: str, others: Sequence[str] | Mapping[str, Any], tau: Any = 0.07, out: int = 512) -> Data:
    """One modality paired with each of the others, which meet through it alone (ImageBind, Girdhar et al. 2023, eq. 1).

    Args:
        centre: the hub, ImageBind's image.
        others: modalities, or modalities with the temperature of each: ``{audio: 0.05, text: {learn: 0.07}}``.
        tau: of those that name none. ImageBind fixes 1/tau at 20 for audio, 5 for depth, 10 for thermal, 5 for IMU.
        out: width of the shared space.
    """
    taus = dict(others) if isinstance(others, Mapping) else dict.fromkeys(others, tau)
    pairs = drawn("hub", [centre, *taus], centre)
    data = pair_graph(
        [{"pair": p, "tau": taus[p[1]], "weight": 2.0} for p in pairs], out=out
    )  # both directions are added
    return data | {"branches": linear(data, out, bias=False)}


def cmc(modalities: Sequence[str], graph: Literal["full", "core"] = "full", tau: float = 0.07, out: int = 128) -> Data:
    """Every modality with every other, or the first with every other (CMC, Tian et al. 2020, eqs. 5 and 6).

    This is the variant whose negatives are the batch's, by a softmax.

    Args:
        modalities: two or more, in ``graph="core"`` the core view first.
        graph: ``full`` or ``core``.
        tau: temperature.
        out: width of the shared space.
    """
    pairs = drawn("full", modalities) if graph == "full" else drawn("hub", modalities, modalities[0])
    data = pair_graph([{"pair": p, "weight": 2.0} for p in pairs], tau=tau, out=out)  # both directions are added
    return data | {"branches": linear(data, out)}


def m5product(modalities: Sequence[str], tau: float = 0.07, out: int = 768) -> Data:
    """Every pair of modalities, the positive left out of the denominator, weights learnt (SIMCL of M5Product, Dong et al. 2022).

    A pair (a, b) is worth ``-log e^(s_ii / tau) / sum_(k != i) (e^(s_ik / tau) + e^(s_ki / tau))`` a sample that has both. The
    paper learns an alignment score for each pair; its code, which would tell how that becomes a weight, isn't public: here the
    weights are the scores' softmax times their number. Masked modelling isn't part of this.

    Args:
        modalities: two or more.
        tau: temperature.
        out: width of the shared space.
    """
    pairs = drawn("full", modalities)
    sources, terms = {}, {}
    for a, b in pairs:
        both = f"{a}~{b}"
        sources[both] = {"use": "aligned", "of": [a, b]}
        terms[both] = {
            "query": f"{both}.0",
            "keys": [f"{both}.1", {"rows": f"{both}.0", "query": f"{both}.1"}],
            "positives": f"same(sample) and origin({b})",
            "denominator": "not same(sample)",
            "loss": {"use": "nce", "denominator": "negatives"},
            "tau": tau,
            "weight": {"share": "pairs"},
        }
    return {"branches": linear(pair_graph(pairs), out), "sources": sources, "terms": terms}


def _shaped(
    graph: Shape | None, modalities: Sequence[str], centre: str | None, intra: bool | Sequence[str]
) -> list[tuple[str, str]]:
    """The pairs that the graph's name stands for, those within a modality first."""
    if graph is None and centre is not None:
        raise ConfigError("only a hub has a centre: set graph: hub", ("centre",))
    within = modalities if intra is True else intra or ()
    for m in within:
        known(m, modalities, ("intra",))
    return [(m, m) for m in within] + ([] if graph is None else drawn(graph, modalities, centre))


def _edge(node: Any, path: tuple[str | int, ...]) -> Data:
    """A pair as a mapping, its keys checked."""
    edge = dict(node) if isinstance(node, Mapping) else {"pair": node}
    for key in edge:
        if key not in EDGE:
            raise ConfigError(f"unknown key {key!r} of a pair{did_you_mean(str(key), EDGE)}", (*path, key))
    pair = edge.get("pair")
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise ConfigError(f"expected two modalities, like [a, b], got {pair!r}", path)
    return edge


def _term(a: str, b: str, same: str | None = None, **edge: Any) -> Data:
    """The term of a pair: within a modality, or across two, both ways."""
    alike = "same(sample)" if same is None else f"(same(sample) or same({same}))"
    if a == b:
        return {"query": a, "keys": [a], "positives": f"{alike} and not self", "denominator": "not self", **edge}
    if same is not None:  # a row of one modality alone is no pair: its caption may be that of others
        alike = f"{alike} and same(has:{a}) and same(has:{b})"
    return {
        "query": [a, b],
        "keys": [a, b],
        "positives": f"{alike} and not same(origin)",
        "denominator": f"not same(origin) and has({a}) and has({b})",
        **edge,
    }


def linear(data: Data, out: int, bias: bool = True) -> Data:
    """The branches of a method, each with a linear projector."""
    return {m: b | {"projector": {"use": "linear", "out": out, "bias": bias}} for m, b in data["branches"].items()}
