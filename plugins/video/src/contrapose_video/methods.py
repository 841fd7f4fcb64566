"""Methods of videos: they take arguments, and return a method as data.

Clips of one video are positives. ``near`` asks more: that their ``time`` differs by at most so many seconds; those of a video that
are farther apart are then neither positives nor negatives.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from contrapose_video.arguments import Count, NotNegative, Positive

Data = dict[str, Any]
Clips = Annotated[int, Field(ge=2)]


def cvrl(near: Positive | None = None, tau: Positive = 0.1, hidden: Count = 2048, out: Count = 128) -> Data:
    """CVRL (Qian et al., CVPR 2021): SimCLR's loss on two clips of a video, for the views ``video/cvrl``.

    Args:
        near: how many seconds apart clips may be to be positives; by default any.
        tau: temperature.
        hidden: width of the projector's hidden layer.
        out: width of the embedding.
    """
    term = {
        "query": "online",
        "keys": ["online"],
        "positives": f"{_alike(near)} and not self",
        "denominator": "not self" if near is None else "(positive or not same(sample)) and not self",
        "tau": tau,
        "weight": 2.0,  # the authors add the two directions, a term averages them
    }
    branch = {"views": "*", "projector": {"use": "mlp", "hidden": hidden, "out": out}}
    return {"slots": ["a", "b"], "branches": {"online": branch}, "terms": {"nt_xent": term}}


def rho_moco(
    clips: Clips = 4, near: Positive | None = None, size: Count = 65536, tau: Positive = 0.1, out: Count = 128
) -> Data:
    """MoCo on ``clips`` clips at independent moments, for the views ``video/rho`` (Feichtenhofer et al., CVPR 2021).

    Each clip is compared with the momentum twin's key of every other clip, one positive at a time, against the queue alone, as in
    the authors' code (``ContrastiveModel`` of SlowFast, ``MoCo_SlowR50_8x8.yaml``).

    Args:
        clips: rho, of a video; the views' ``clips``.
        near: how many seconds apart clips may be to be positives; by default any.
        size: of the queue.
        tau: temperature.
        out: width of the embedding.
    """
    positives = f"{_alike(near)} and not same(view) and origin(key)"
    term = {
        "query": "online",
        "keys": ["key", "queue"],
        "positives": positives,
        "denominator": "positive or origin(queue)",
        "loss": {"use": "nce", "denominator": "own"},
        "tau": tau,
    }
    projector = {"use": "mlp", "hidden": 2048, "layers": 3, "norm": "none", "out": out}
    return {
        "slots": {"clip": clips},
        "branches": {
            "online": {"views": "*", "projector": projector, "together": False},
            "key": {"views": "*", "of": "online", "weights": "ema", "momentum": {"cosine": [0.994, 1.0]}},
        },
        "sources": {"queue": {"use": "queue", "of": "key", "size": size}},
        "terms": {"info_nce": term},
    }


def rho_byol(clips: Clips = 2, near: Positive | None = None, hidden: Count = 4096, out: Count = 256) -> Data:
    """BYOL on ``clips`` clips at independent moments, for the views ``video/rho`` (Feichtenhofer et al., CVPR 2021).

    Each clip predicts the momentum twin's projection of every other clip (``BYOL_SlowR50_8x8.yaml`` of SlowFast).

    Args:
        clips: rho, of a video; the views' ``clips``.
        near: how many seconds apart clips may be to be positives; by default any.
        hidden: width of the heads' hidden layers.
        out: width of the embedding.
    """
    head = {"use": "mlp", "hidden": hidden}
    online = {"views": "*", "projector": {**head, "out": out}, "predictor": dict(head), "together": False}
    target = {"views": "*", "of": "online", "weights": "ema", "momentum": {"cosine": [0.996, 1.0]}, "together": False}
    term = {
        "query": "online",
        "keys": ["target"],
        "positives": f"{_alike(near)} and not same(view)",
        "loss": "cosine",
        "tau": 1.0,
        "weight": 2.0,  # BYOL adds the two directions, a term averages them
    }
    return {"slots": {"clip": clips}, "branches": {"online": online, "target": target}, "terms": {"predict": term}}


def pace(
    paces: Clips = 4, contrast: NotNegative = 0.1, near: Positive | None = None, tau: Positive = 0.5, out: Count = 128
) -> Data:
    """Tell at which pace a clip was taken, and which clips are of one video, for the views ``video/pace`` (Wang et al., ECCV 2020).

    Section 3.3's loss with the same context: the cross-entropy of the paces, and ``contrast`` times the contrastive loss of the two
    clips. The temperature is not told in the paper, and the authors' published code has the paces alone (``contrast: 0``).

    Args:
        paces: how many; the views' ``paces``.
        contrast: weight of the contrastive loss; 0 leaves it out.
        near: how many seconds apart clips may be to be positives; by default any.
        tau: temperature of the contrastive loss.
        out: width of its embedding.
    """
    told = {"query": "features", "loss": {"use": "video/classify", "column": "pace", "classes": paces}}
    same = {
        "query": "online",
        "keys": ["online"],
        "positives": f"{_alike(near)} and not self",
        "denominator": "not self" if near is None else "(positive or not same(sample)) and not self",
        "tau": tau,
        "weight": contrast,
    }
    online = {"online": {"views": "*", "projector": {"use": "mlp", "out": out}}} if contrast else {}
    return {
        "slots": ["a", "b"],
        "branches": {"features": {"views": "*"}, **online},
        "terms": {"pace": told, **({"context": same} if contrast else {})},
    }


def dpc(blocks: Clips = 8, steps: Count = 3) -> Data:
    """Dense predictive coding (Han et al., 2019): what was seen of a clip predicts each place of the blocks that come.

    A prediction's one positive is that very place at that time, among all places and times to come of the batch's clips. For
    the encoder ``{use: video/blocks, blocks: 8}`` and one view, whose frames are ``blocks`` times those of a block. (The authors'
    targets are the features before their last ReLU, these are after it.)

    Args:
        blocks: of a clip, as the encoder has them.
        steps: how many of them are predicted.
    """
    heads = {"blocks": blocks, "steps": steps}
    term = {
        "query": "context",
        "keys": ["future"],
        "positives": "same(sample) and same(view) and same(target)",
        "denominator": "all",
        "tau": 1.0,
        "normalize": False,
    }
    return {
        "slots": ["clip"],
        "branches": {
            "context": {"views": "*", "tap": "dense", "predictor": {"use": "video/predict", **heads}},
            "future": {"views": "*", "tap": "dense", "projector": {"use": "video/future", **heads}},
        },
        "terms": {"ahead": term},
    }


def memdpc(blocks: Clips = 8, steps: Count = 3, memory: Count = 1024) -> Data:
    """`dpc` whose predictions are mixtures of a memory, and look both ways (MemDPC, Han, Xie and Zisserman, ECCV 2020).

    What comes is told apart from what comes in all clips of the batch, what went before from what went before; the two losses are
    added, as in the authors' code. For the encoder ``{use: video/blocks, blocks: 8}`` and one view.

    Args:
        blocks: of a clip, as the encoder has them.
        steps: how many of them are predicted at each end.
        memory: how many vectors it holds.
    """
    heads = {"blocks": blocks, "steps": steps}
    term = {
        "query": "context",
        "keys": ["ends"],
        "positives": "same(sample) and same(view) and same(target)",
        "denominator": "same(end)",
        "tau": 1.0,
        "normalize": False,
        "weight": 2.0,  # the authors add the two directions, a term averages them
    }
    return {
        "slots": ["clip"],
        "branches": {
            "context": {"views": "*", "tap": "dense", "predictor": {"use": "video/remember", **heads, "slots": memory}},
            "ends": {"views": "*", "tap": "dense", "projector": {"use": "video/ends", **heads}},
        },
        "terms": {"both_ways": term},
    }


def fame(near: Positive | None = None, size: Count = 65536, tau: Positive = 0.1, out: Count = 128) -> Data:
    """FAME's MoCo: of a video's clips ``a`` and ``b`` the first gets another background, and each finds the other's key.

    For the views ``video/cvrl``, or others that make ``a`` and ``b``. The loss of both directions, as in the authors' code; their
    queue is of 2,048 on UCF101.

    Args:
        near: how many seconds apart clips may be to be positives; by default any.
        size: of the queue.
        tau: temperature.
        out: width of the embedding.
    """
    seen = ["fused", "b"]
    term = {
        "query": "online",
        "keys": ["key", "queue"],
        "positives": f"{_alike(near)} and not same(view) and origin(key)",
        "denominator": "positive or origin(queue)",
        "tau": tau,
    }
    return {
        "slots": ["a", "b", "fused"],
        "views": {"fused": {"use": "video/fame", "of": "a"}},
        "branches": {
            "online": {"views": seen, "projector": {"use": "mlp", "norm": "none", "out": out}, "together": False},
            "key": {"views": seen, "of": "online", "weights": "ema", "momentum": 0.999, "together": False},
        },
        "sources": {"queue": {"use": "queue", "of": "key", "size": size}},
        "terms": {"info_nce": term},
    }


def _alike(near: float | None) -> str:
    return "same(sample)" if near is None else f"same(sample) and near(time, {float(near)})"
