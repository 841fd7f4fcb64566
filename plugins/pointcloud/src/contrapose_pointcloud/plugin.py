"""What this plugin offers. Imports neither torch nor numpy nor open3d."""

from __future__ import annotations

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_CROSSPOINT = "Afham et al., CrossPoint, CVPR 2022, arXiv:2203.00680"
_POINTCONTRAST = "Xie et al., PointContrast, ECCV 2020, arXiv:2007.10985"
_DEPTHCONTRAST = "Zhang et al., DepthContrast, ICCV 2021, arXiv:2101.02691"
_STRL = "Huang et al., STRL, ICCV 2021, arXiv:2109.00179"
_ULIP = "Xue et al., ULIP, CVPR 2023, arXiv:2212.05171"


def _views(name: str, target: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_pointcloud.{target}", summary, modality="pointcloud", paper=paper)


def _encoder(name: str, target: str, summary: str, paper: str) -> Spec:
    return Spec(name, f"contrapose_pointcloud.{target}", summary, modality="pointcloud", paper=paper)


@hookimpl
def register_modalities() -> list[Spec]:
    """Point clouds."""
    return [
        Spec(
            "pointcloud",
            "contrapose_pointcloud.modality:PointCloud",
            "float32 (N, 3 + C) from npy, npz, ply, off, xyz; pcd, obj, stl, gltf, glb by open3d",
            modality="pointcloud",
        )
    ]


@hookimpl
def register_view_generators() -> list[Spec]:
    """The recipes of CrossPoint, DepthContrast, PointContrast, STRL and ULIP, steps, the evaluation view, and renderings."""
    return [
        _views("crosspoint", "views:crosspoint", "CrossPoint's augmentations, all seven steps", _CROSSPOINT),
        _views("eval", "views:evaluation", "evenly chosen points in the unit sphere, the same each time"),
        _views("unit-sphere", "views:unit_sphere", "centred, the farthest point at distance 1"),
        _views("scale", "views:scale", "one random factor"),
        _views("rotate", "views:rotate", "a random turn about one axis, or about any"),
        _views("translate", "views:translate", "a random shift, as a share of the extent"),
        _views("jitter", "views:jitter", "clipped Gaussian noise on every point"),
        _views(
            "dropout", "views:dropout", "a random share of points replaced by the first", "Qi et al., PointNet++, 2017"
        ),
        _views("shift", "ulip:shift", "a random shift, in the cloud's unit", _ULIP),
        _views("perturb", "ulip:perturb", "a small random turn about each axis", _ULIP),
        _views("resample", "views:resample", "a random subset, or repeats, to a given number of points"),
        _views("fps", "shape:fps", "points far from one another, to a given number", "Qi et al., PointNet++, 2017"),
        _views("elastic", "shape:elastic", "a smooth random displacement", "Choy et al., MinkowskiNet, CVPR 2019"),
        _views("cuboid-crop", "regions:cuboid_crop", "the points in a random cuboid", _DEPTHCONTRAST),
        _views("cuboid-drop", "regions:cuboid_drop", "the points outside a random cuboid", _DEPTHCONTRAST),
        _views(
            "depthcontrast", "regions:depthcontrast", "DepthContrast's augmentations, all six steps", _DEPTHCONTRAST
        ),
        _views("upsample", "strl:upsample", "means of near points, up to a given number", _STRL),
        _views("box-crop", "strl:box_crop", "the points in a random box within the cloud", _STRL),
        _views("cutout", "strl:cutout", "the points outside a random box within the cloud", _STRL),
        _views("strl", "strl:strl", "STRL's augmentations of a shape, all nine steps", _STRL),
        _views("ulip", "ulip:ulip", "ULIP's augmentations, all six steps", _ULIP),
        _views("occlude", "regions:occlude", "the points that a random view point sees"),
        _views("partial", "pairs:partial", "two overlapping parts, which begin with the same points", _POINTCONTRAST),
        _views("pointcontrast", "pairs:pointcontrast", "two overlapping parts, each turned on its own", _POINTCONTRAST),
        _views("render", "render.views:render", "a picture of the cloud or its mesh, for the modality image"),
        _views(
            "turntable", "render.views:turntable", "a clip once around the cloud or its mesh, for the modality video"
        ),
    ]


@hookimpl
def register_encoders() -> list[Spec]:
    """PointNet, PointNet++, DGCNN and Point Transformer."""
    return [
        _encoder(
            "pointnet",
            "encoders:PointNet",
            "shared MLP and max pooling",
            "Qi et al., PointNet, CVPR 2017, arXiv:1612.00593",
        ),
        _encoder(
            "pointnet2",
            "pointnet2:PointNet2",
            "PointNet++: PointNets on nested balls, one scale a level",
            "Qi et al., PointNet++, NeurIPS 2017, arXiv:1706.02413",
        ),
        _encoder(
            "dgcnn",
            "encoders:DGCNN",
            "EdgeConv on dynamic graphs",
            "Wang et al., DGCNN, TOG 2019, arXiv:1801.07829",
        ),
        _encoder(
            "point-transformer",
            "transformer:PointTransformer",
            "vector attention among neighbours, in five stages",
            "Zhao et al., Point Transformer, ICCV 2021, arXiv:2012.09164",
        ),
    ]


@hookimpl
def register_heads() -> list[Spec]:
    """PointContrast's."""
    return [
        Spec(
            "leading",
            "contrapose_pointcloud.heads:Leading",
            "a linear layer on the first positions",
            paper=_POINTCONTRAST,
        )
    ]


@hookimpl
def register_methods() -> list[Spec]:
    """CrossPoint, which needs a second modality for its pictures, ULIP, which needs words too, and methods of clouds alone."""
    return [
        Spec(
            "crosspoint",
            "contrapose_pointcloud:methods/crosspoint.yaml",
            "two clouds of a thing agree, and their mean with a picture of it",
            paper=_CROSSPOINT,
        ),
        Spec(
            "pointcontrast",
            "contrapose_pointcloud:methods/pointcontrast.yaml",
            "points of two partial views agree, pair by pair",
            paper=_POINTCONTRAST,
        ),
        Spec(
            "depthcontrast",
            "contrapose_pointcloud:methods/depthcontrast.yaml",
            "MoCo within and across two formats, an encoder for each",
            paper=_DEPTHCONTRAST,
        ),
        Spec(
            "strl",
            "contrapose_pointcloud:methods/strl.yaml",
            "BYOL on two views of a cloud, or two frames of a sequence",
            paper=_STRL,
        ),
        Spec(
            "ulip",
            "contrapose_pointcloud:methods/ulip.yaml",
            "a cloud agrees with the picture and the words of frozen towers",
            paper=_ULIP,
        ),
    ]
