"""The method presets of the core: a file in ``methods/presets`` each, or a function that returns such a mapping."""

from __future__ import annotations

from contrapose.plugins.spec import Spec

PRESETS = [
    Spec(
        "simclr",
        "contrapose.methods:presets/simclr.yaml",
        "two augmentations against the batch",
        paper="Chen et al. 2020, arXiv:2002.05709",
    ),
    Spec(
        "supcon",
        "contrapose.methods:presets/supcon.yaml",
        "rows of the same label are positives",
        paper="Khosla et al. 2020, arXiv:2004.11362",
    ),
    Spec(
        "moco-v2",
        "contrapose.methods:presets/moco-v2.yaml",
        "a momentum twin and a queue",
        paper="Chen et al. 2020, arXiv:2003.04297",
    ),
    Spec(
        "mochi",
        "contrapose.methods:presets/mochi.yaml",
        "MoCo with mixed hard negatives",
        paper="Kalantidis et al. 2020, arXiv:2010.01028",
    ),
    Spec(
        "byol",
        "contrapose.methods:presets/byol.yaml",
        "predict a momentum twin, no negatives",
        paper="Grill et al. 2020, arXiv:2006.07733",
    ),
    Spec(
        "dino",
        "contrapose.methods:presets/dino.yaml",
        "self-distillation over prototypes, multi-crop",
        paper="Caron et al. 2021, arXiv:2104.14294",
    ),
    Spec(
        "swav",
        "contrapose.methods:presets/swav.yaml",
        "swapped balanced assignments, multi-crop",
        paper="Caron et al. 2020, arXiv:2006.09882",
    ),
    Spec(
        "pcl",
        "contrapose.methods:presets/pcl.yaml",
        "MoCo and cluster centres (ProtoNCE)",
        paper="Li et al. 2021, arXiv:2005.04966",
    ),
    Spec(
        "densecl",
        "contrapose.methods:presets/densecl.yaml",
        "MoCo v2 on every position",
        paper="Wang et al. 2021, arXiv:2011.09157",
    ),
    Spec(
        "paco",
        "contrapose.methods:presets/paco.yaml",
        "supervised contrast with class centres",
        paper="Cui et al. 2021, arXiv:2107.12028",
    ),
    Spec(
        "dcl",
        "contrapose.methods:presets/dcl.yaml",
        "SimCLR without the positive in the denominator",
        paper="Yeh et al. 2022, arXiv:2110.06848",
    ),
    Spec(
        "dclw",
        "contrapose.methods:presets/dclw.yaml",
        "DCL whose hard positives attract more",
        paper="Yeh et al. 2022, arXiv:2110.06848",
    ),
    Spec("pair-graph", "contrapose.methods.arch:pair_graph", "a term for each pair of modalities"),
    Spec(
        "clip",
        "contrapose.methods.arch:clip",
        "two modalities, learnt temperature",
        paper="Radford et al. 2021, arXiv:2103.00020",
    ),
    Spec(
        "siglip",
        "contrapose.methods.arch:siglip",
        "two modalities, every pair a binary choice",
        paper="Zhai et al. 2023, arXiv:2303.15343",
    ),
    Spec(
        "gram",
        "contrapose.methods.arch:gram",
        "the volume that several modalities span",
        paper="Cicchetti et al. 2025, arXiv:2412.11959",
    ),
]
