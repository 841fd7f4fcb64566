"""All references in one namespace: `from tests.reference import formulas as ref; ref.nt_xent(z1, z2, 0.5)`.

Conventions: embeddings are raw (B, D) tensors and are normalised inside where the method does so; every function
returns a scalar mean over its anchors (unless it says "per anchor") and is differentiable with respect to every float
input that the method doesn't detach. Nothing here imports contrapose.
"""

from .basics import cross_entropy, diagonal_nce, unit
from .clustering import cc_cluster, contrastive_clustering, pcl_density, proto_nce, sinkhorn, swav, swav_from_scores
from .contrastive import (
    dcl,
    dcl_per_anchor,
    dclw,
    dclw_weights,
    debiased,
    hcl,
    info_nce,
    nt_xent,
    nt_xent_per_anchor,
    scarf,
    supcon_in,
    supcon_out,
)
from .crossmodal import clip, crosspoint, gram, gram_volume, siglip, symile, symile_anchor
from .momentum import (
    byol,
    coclr,
    densecl,
    densecl_match,
    dino,
    dino_centre,
    kcl,
    mochi,
    mochi_synthetic,
    moco,
    paco,
    simsiam,
)
from .other import barlow_twins, mmcr, vicreg, vime, vime_corrupt

__all__ = [
    "barlow_twins",
    "byol",
    "cc_cluster",
    "clip",
    "coclr",
    "contrastive_clustering",
    "cross_entropy",
    "crosspoint",
    "dcl",
    "dcl_per_anchor",
    "dclw",
    "dclw_weights",
    "debiased",
    "densecl",
    "densecl_match",
    "diagonal_nce",
    "dino",
    "dino_centre",
    "gram",
    "gram_volume",
    "hcl",
    "info_nce",
    "kcl",
    "mmcr",
    "mochi",
    "mochi_synthetic",
    "moco",
    "nt_xent",
    "nt_xent_per_anchor",
    "paco",
    "pcl_density",
    "proto_nce",
    "scarf",
    "siglip",
    "simsiam",
    "sinkhorn",
    "supcon_in",
    "supcon_out",
    "swav",
    "swav_from_scores",
    "symile",
    "symile_anchor",
    "unit",
    "vicreg",
    "vime",
    "vime_corrupt",
]
