"""Methods whose positives or false negatives are mined: they take arguments, and return a method as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from contrapose.errors import ConfigError, did_you_mean

Data = dict[str, Any]


def fnc(
    cancel: Literal["attract", "eliminate"] = "attract",
    support: int = 8,
    top: int = 10,
    above: float = 0.7,
    memory: int = 24576,
    tau: float = 0.1,
    out: int = 128,
) -> Data:
    """SimCLR v2 whose likely false negatives become positives, or leave the denominator (FNC, Huynh et al. 2022).

    A key is a false negative of a sample if it is among the ``top`` nearest to any of the sample's views, and nearer than
    ``above``. As in the authors' code the support views are anchors and keys like the others, and with a memory all keys are a
    momentum twin's. (That code doubles the loss.)

    Args:
        cancel: ``attract`` makes false negatives positives, ``eliminate`` takes them out of the denominator.
        support: views of a sample beyond two.
        top: at most so many false negatives.
        above: only what is more similar than this.
        memory: past keys that are kept, 6 batches of 4096 in the paper; 0 contrasts with the batch alone, without a twin.
        tau: temperature.
        out: width of the embedding.
    """
    branches: Data = {"online": {"views": "*", "projector": {"use": "mlp", "layers": 3, "out": out}}}
    if memory:
        branches["key"] = {"views": "*", "of": "online", "weights": "ema", "momentum": 0.999}
        keys, alike = ["key", "queue"], "same(sample) and not same(view) and origin(key)"
        counts, others = "not (same(sample) and same(view) and origin(key))", "not (same(sample) and origin(key))"
    else:
        keys, alike, counts, others = ["online"], "same(sample) and not self", "not self", "not same(sample)"
    mine = {"use": "top-k", "query": keys[0], "keys": keys, "count": top, "above": above, "within": others}
    attract = cancel == "attract"
    term = {
        "query": "online",
        "keys": keys,
        "annotate": {"false": mine},
        "positives": f"{alike} or same(false, to=self)" if attract else alike,
        "denominator": counts if attract else f"{counts} and not same(false, to=self)",
        "tau": tau,
    }
    return {
        "slots": {"view": 2, "support": support},
        "branches": branches,
        "sources": {"queue": {"use": "queue", "of": "key", "size": memory}} if memory else {},
        "terms": {"fnc": term},
    }


def coclr(
    pair: Sequence[str],
    learn: str | None = None,
    same: str = "sample",
    top: int = 5,
    size: int = 2048,
    tau: float = 0.07,
    out: int = 128,
) -> Data:
    """MoCo whose positives are also the samples that are nearest by another modality (CoCLR, Han et al. 2020).

    The log is of the positives' whole probability (MIL-NCE). Queues offer nothing until they are full, so nothing is learnt before,
    as in the authors' code. (That code, but not the paper, often leaves an anchor's own key out of its positives.)

    Args:
        pair: two modalities.
        learn: the one that learns, while the other one's encoder stands still and its ``pooled`` features do the mining: one
            turn of the paper's alternation. By default both learn at once, each by the other one's momentum twin.
        same: the column in which clips of one video agree (a ``group``); they are positives, and aren't mined.
        top: how many samples are mined.
        size: of the queues.
        tau: temperature.
        out: width of the embeddings.
    """
    if len(set(pair)) != 2:
        raise ConfigError(f"expected two modalities, like [a, b], got {', '.join(pair)}", ("pair",))
    if learn is not None and learn not in pair:
        raise ConfigError(f"{learn!r} is not one of the pair{did_you_mean(learn, pair)}", ("learn",))
    branches: Data = {}
    sources: Data = {}
    terms: Data = {}
    for m, other in (pair, pair[::-1]):
        sources[f"{m}_queue"] = {"use": "queue", "of": f"{m}_key", "size": size, "full": True}
        if learn not in (None, m):
            branches[f"{m}_key"] = {"views": f"{m}/key", "weights": "frozen"}
            continue
        branches[m] = {"views": f"{m}/query", "projector": {"use": "mlp", "out": out, "norm": "none"}}
        branches[f"{m}_key"] = {"views": f"{m}/key", "of": m, "weights": "ema", "momentum": 0.999}
        alike, own = f"same({same})", f"same(sample) and origin({m}_key)"
        terms[m] = {
            "query": m,
            "keys": [f"{m}_key", f"{m}_queue"],
            "annotate": {
                "mined": {
                    "use": "top-k",
                    "query": f"{other}_key",
                    "keys": [f"{other}_queue"],
                    "count": top,
                    "within": f"not {alike}",
                    "give": "sample",
                }
            },
            "positives": f"{own} or origin({m}_queue) and ({alike} or same(mined, to=sample))",
            "denominator": f"{own} or origin({m}_queue)",
            "loss": {"use": "nce", "positives": "sum"},
            "tau": tau,
        }
    return {"slots": ["query", "key"], "branches": branches, "sources": sources, "terms": terms}
