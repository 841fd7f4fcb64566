"""Methods that read a sample in patches: they take arguments, and return a method as data."""

from __future__ import annotations

from typing import Any

from contrapose.methods.banked import npid

Data = dict[str, Any]


def pirl(
    patches: int = 9,
    share: float = 0.5,
    negatives: int = 32000,
    tau: float = 0.07,
    momentum: float = 0.5,
    proximal: float = 0.0,
    out: int = 128,
) -> Data:
    """A sample's shuffled patches, and the sample itself, find its entry in a memory bank (PIRL, Misra & van der Maaten 2020).

    ``share * L(m, g(patches)) + (1 - share) * L(m, f(whole))`` (eq. 5), L being instance discrimination's loss (``npid``) and m
    the running mean of f alone. Each patch goes through the encoder and a linear map, all of them side by side through another
    (section 3.2). The views ``patch_0`` to ``patch_8`` are the patches in the order in which they are to be seen.

    Args:
        patches: how many patches a sample has.
        share: lambda, the weight of the patches; 0 leaves instance discrimination.
        negatives: entries that are drawn for each anchor.
        tau: temperature.
        momentum: share of the old entry when it moves.
        proximal: as ``npid``'s, on the whole.
        out: width of the embedding.
    """
    data = npid(negatives=negatives, tau=tau, momentum=momentum, proximal=proximal, out=out)
    linear = {"use": "linear", "out": out}
    whole = data["terms"].pop("npid")
    data["slots"] = ["whole", *(f"patch_{n}" for n in range(patches))]
    data["branches"]["online"]["views"] = "whole"
    data["branches"]["patches"] = {"views": "patch_*", "projector": linear, "fold": patches, "predictor": linear}
    data["sources"]["patch_noise"] = data["sources"]["noise"] | {"query": "patches"}
    data["terms"]["whole"] = whole | {"weight": 1 - share}
    data["terms"]["patches"] = whole | {
        "query": "patches",
        "keys": ["bank.batch", "patch_noise"],
        "denominator": "positive or origin(patch_noise)",
        "weight": share,
    }
    return data
