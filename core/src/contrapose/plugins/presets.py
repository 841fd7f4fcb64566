"""The method presets of the core: a file in ``methods/presets`` each, or a function that returns such a mapping."""

from __future__ import annotations

from contrapose.plugins.spec import Spec


def _file(name: str, summary: str, paper: str) -> Spec:
    """A preset that is ``methods/presets/<name>.yaml``."""
    return Spec(name, f"contrapose.methods:presets/{name}.yaml", summary, paper=paper)


def _function(name: str, target: str, summary: str, paper: str | None = None, example: str | None = None) -> Spec:
    """A preset with arguments."""
    return Spec(name, f"contrapose.methods.{target}", summary, paper=paper, example=example)


PRESETS = [
    _file("simclr", "two augmentations against the batch", "Chen et al. 2020, arXiv:2002.05709"),
    _file("supcon", "rows of the same label are positives", "Khosla et al. 2020, arXiv:2004.11362"),
    _file("moco-v2", "a momentum twin and a queue", "Chen et al. 2020, arXiv:2003.04297"),
    _file("mochi", "MoCo with mixed hard negatives", "Kalantidis et al. 2020, arXiv:2010.01028"),
    _file("byol", "predict a momentum twin, no negatives", "Grill et al. 2020, arXiv:2006.07733"),
    _file("dino", "self-distillation over prototypes, multi-crop", "Caron et al. 2021, arXiv:2104.14294"),
    _file("swav", "swapped balanced assignments, multi-crop", "Caron et al. 2020, arXiv:2006.09882"),
    _file("pcl", "MoCo and cluster centres (ProtoNCE)", "Li et al. 2021, arXiv:2005.04966"),
    _file("densecl", "MoCo v2 on every position", "Wang et al. 2021, arXiv:2011.09157"),
    _file("paco", "supervised contrast with class centres", "Cui et al. 2021, arXiv:2107.12028"),
    _file("dcl", "SimCLR without the positive in the denominator", "Yeh et al. 2022, arXiv:2110.06848"),
    _file("dclw", "DCL whose hard positives attract more", "Yeh et al. 2022, arXiv:2110.06848"),
    _function(
        "pair-graph",
        "arch:pair_graph",
        "a term for each pair of modalities, listed or full, hub, chain",
        example="graph: full, modalities: [a, b], intra: [a]",
    ),
    _function(
        "clip",
        "arch:clip",
        "two modalities, learnt temperature",
        "Radford et al. 2021, arXiv:2103.00020",
        example="pair: [a, b]",
    ),
    _function(
        "siglip",
        "arch:siglip",
        "two modalities, every pair a binary choice",
        "Zhai et al. 2023, arXiv:2303.15343",
        example="pair: [a, b]",
    ),
    _function(
        "gram",
        "arch_nary:gram",
        "the volume that several modalities span",
        "Cicchetti et al. 2025, arXiv:2412.11959",
        example="anchor: a, others: [b, c]",
    ),
    _function("npid", "banked:npid", "a memory bank's entries against noise", "Wu et al. 2018, arXiv:1805.01978"),
    _function(
        "cmc-bank",
        "banked:cmc_bank",
        "each modality against the others' memory banks",
        "Tian et al. 2020, arXiv:1906.05849",
        example="modalities: [a, b, c]",
    ),
    _function(
        "fnc",
        "mined:fnc",
        "false negatives found by support views, attracted or left out",
        "Huynh et al. 2022, arXiv:2011.11765",
    ),
    _function(
        "coclr",
        "mined:coclr",
        "positives mined by another modality",
        "Han et al. 2020, arXiv:2010.09709",
        example="pair: [a, b]",
    ),
    _file("ft", "MoCo with extrapolated positives and interpolated negatives", "Zhu et al. 2021, arXiv:2108.02982"),
    _file("ncl", "neighbours as positives, mixed hard samples as negatives", "Zhong et al. 2021, arXiv:2106.10731"),
    _function(
        "pirl",
        "patched:pirl",
        "shuffled patches and the whole against a memory bank",
        "Misra & van der Maaten 2020, arXiv:1912.01991",
    ),
    _file("cpc", "a sequence so far predicts its next positions", "van den Oord et al. 2018, arXiv:1807.03748"),
    _file(
        "dim",
        "a whole finds the parts of its other view, by a head each",
        "Hjelm et al. 2019, arXiv:1808.06670; Bachman et al. 2019, arXiv:1906.00910",
    ),
    _file("mixco", "MoCo v2 and mixed samples with two positives", "Kim et al. 2020, arXiv:2010.06300"),
    _file("temporal", "what is near in time is a positive", "Sermanet et al. 2018, arXiv:1704.06888"),
    _file("same-group", "one place at other times is a positive", "Ayush et al. 2021, arXiv:2011.09980"),
    _file("tracklet", "tracklets against those of the same camera", "Li et al. 2019, arXiv:1903.00535"),
    _file(
        "pseudo-label",
        "rows of the same cluster are positives",
        "Khosla et al. 2020, arXiv:2004.11362; Li et al. 2021, arXiv:2005.04966",
    ),
    _file("simclr-v2", "SimCLR under a deeper head", "Chen et al. 2020, arXiv:2006.10029"),
    _file("directclr", "SimCLR without a projector, on part of the embedding", "Jing et al. 2022, arXiv:2110.09348"),
    _file("selfcon", "two exits of one encoder, one view", "Bae et al. 2023, arXiv:2106.15499"),
    _file("simsiam", "predict the other view, no gradient on its side", "Chen & He 2021, arXiv:2011.10566"),
    _file("moco-v1", "a momentum twin and a queue, linear head", "He et al. 2020, arXiv:1911.05722"),
    _file("moco-v3", "predict a momentum twin's keys in the batch", "Chen et al. 2021, arXiv:2104.02057"),
    _file("debiased", "SimCLR with negatives corrected for false ones", "Chuang et al. 2020, arXiv:2007.00224"),
    _file("hard", "debiased, and hard negatives weigh more", "Robinson et al. 2021, arXiv:2010.04592"),
    _file("supcon-in", "SupCon with the mean inside the logarithm", "Khosla et al. 2020, arXiv:2004.11362"),
    _file("barlow-twins", "cross-correlation to the identity", "Zbontar et al. 2021, arXiv:2103.03230"),
    _file("vicreg", "invariance, variance, covariance", "Bardes et al. 2022, arXiv:2105.04906"),
    _file("mmcr", "means of views that fill the space", "Yerxa et al. 2023, arXiv:2303.03307"),
    _file("triplet", "semi-hard triplets", "Schroff et al. 2015, arXiv:1503.03832"),
    _file("margin", "pairs apart up to a margin", "Hadsell et al. 2006, CVPR"),
    _file("n-pair", "unnormalised InfoNCE, lengths held small", "Sohn 2016, NeurIPS"),
    _file("mmcl", "support vectors as negatives", "Shah et al. 2022, arXiv:2112.11450"),
    _function(
        "hub",
        "arch:hub",
        "one modality paired with each other (ImageBind)",
        "Girdhar et al. 2023, arXiv:2305.05665",
        example="centre: a, others: [b, c]",
    ),
    _function(
        "cmc",
        "arch:cmc",
        "every modality with every other, or with the first",
        "Tian et al. 2020, arXiv:1906.05849",
        example="modalities: [a, b, c]",
    ),
    _function(
        "m5product",
        "arch:m5product",
        "all pairs, decoupled, with learnt weights (SIMCL)",
        "Dong et al. 2022, arXiv:2109.04275",
        example="modalities: [a, b, c]",
    ),
    _function(
        "symile",
        "arch_nary:symile",
        "the inner product of all modalities at once",
        "Saporta et al. 2024, arXiv:2411.01053",
        example="modalities: [a, b, c]",
    ),
    _function(
        "tcl",
        "arch_tcl:tcl",
        "across, within, and whole with parts",
        "Yang et al. 2022, arXiv:2202.10401",
        example="pair: [a, b]",
    ),
]
