"""What this plugin offers. Imports neither torch nor numpy nor torchvision."""

from __future__ import annotations

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_SIMCLR = "Chen et al., SimCLR, ICML 2020, arXiv:2002.05709"
_MOCO_V1 = "He et al., MoCo, CVPR 2020, arXiv:1911.05722"
_MOCO_V2 = "Chen et al., MoCo v2, 2020, arXiv:2003.04297"
_BYOL = "Grill et al., BYOL, NeurIPS 2020, arXiv:2006.07733"
_MOCO_V3 = "Chen et al., MoCo v3, ICCV 2021, arXiv:2104.02057"
_SIMSIAM = "Chen & He, SimSiam, CVPR 2021, arXiv:2011.10566"
_BARLOW = "Zbontar et al., Barlow Twins, ICML 2021, arXiv:2103.03230"
_VICREG = "Bardes et al., VICReg, ICLR 2022, arXiv:2105.04906"
_DENSECL = "Wang et al., DenseCL, CVPR 2021, arXiv:2011.09157"
_CCROP = "Peng et al., ContrastiveCrop, CVPR 2022, arXiv:2202.03278"
_SWAV = "Caron et al., SwAV, NeurIPS 2020, arXiv:2006.09882"
_DINO = "Caron et al., DINO, ICCV 2021, arXiv:2104.14294"
_CROSSPOINT = "Afham et al., CrossPoint, CVPR 2022, arXiv:2203.00680"
_PIRL = "Misra & van der Maaten, PIRL, CVPR 2020, arXiv:1912.01991"
_CMC = "Tian et al., CMC, ECCV 2020, arXiv:1906.05849"
_RESNET = "He et al., ResNet, CVPR 2016, arXiv:1512.03385"
_VIT = "Touvron et al., DeiT, ICML 2021, arXiv:2012.12877"


def _view(name: str, attr: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_image.views:{attr}", summary, modality="image", paper=paper)


def _run(name: str, summary: str, paper: str) -> Spec:
    return Spec(name, f"contrapose_image:recipes/{name}.yaml", summary, modality="image", paper=paper)


def _step(name: str, summary: str) -> Spec:
    return Spec(name, f"contrapose_image.steps:{name.replace('-', '_')}", summary, modality="image")


def _encoder(name: str, attr: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_image.encoders:{attr}", summary, modality="image", paper=paper)


@hookimpl
def register_modalities() -> list[Spec]:
    """Images."""
    return [Spec("image", "contrapose_image.modality:Image", "RGB from PNG, JPEG, WebP, TIFF, ...", modality="image")]


@hookimpl
def register_view_generators() -> list[Spec]:
    """Recipes, and the steps that they are made of."""
    return [
        _view("simclr", "simclr", "SimCLR's augmentations for ImageNet", _SIMCLR),
        _view("simclr-cifar", "simclr_cifar", "SimCLR's augmentations for small images, without blur", _SIMCLR),
        _view("moco-v1", "moco_v1", "MoCo v1's augmentations: jittered always, no blur", _MOCO_V1),
        _view("moco-v2", "moco_v2", "MoCo v2's augmentations, also SimSiam's and DenseCL's", _MOCO_V2),
        _view("byol-a", "byol_a", "BYOL's first view, also Barlow Twins' and VICReg's: always blurred", _BYOL),
        _view("byol-b", "byol_b", "BYOL's second view: seldom blurred, sometimes solarized", _BYOL),
        _view("moco-v3-a", "moco_v3_a", "MoCo v3's first view: always blurred", _MOCO_V3),
        _view("moco-v3-b", "moco_v3_b", "MoCo v3's second view: seldom blurred, sometimes solarized", _MOCO_V3),
        _view("swav-global", "swav_global", "SwAV's two large crops", _SWAV),
        _view("swav-local", "swav_local", "SwAV's six small crops", _SWAV),
        _view("dino-global-1", "dino_global_1", "DINO's first large crop: always blurred", _DINO),
        _view("dino-global-2", "dino_global_2", "DINO's second: seldom blurred, sometimes solarized", _DINO),
        _view("dino-local", "dino_local", "DINO's eight small crops", _DINO),
        _view("crosspoint", "crosspoint", "CrossPoint's picture: resize, jitter, flip", _CROSSPOINT),
        Spec(
            "contrastive-crop",
            "contrapose_image.contrastive_crop:ContrastiveCrop",
            "a random crop within what the encoder finds",
            modality="image",
            paper=_CCROP,
        ),
        Spec("jigsaw", "contrapose_image.jigsaw:Jigsaw", "PIRL's nine shuffled tiles", modality="image", paper=_PIRL),
        Spec(
            "lab", "contrapose_image.lab:lab", "CMC's lightness and colours of one crop", modality="image", paper=_CMC
        ),
        Spec(
            "torchvision", "contrapose_image.transforms:Torchvision", "any transform of torchvision", modality="image"
        ),
        Spec(
            "albumentations",
            "contrapose_image.albumentations_views:Albumentations",
            "any transform of albumentations, which it needs",
            modality="image",
            paper="Buslaev et al., Information 2020, arXiv:1809.06839",
        ),
        _view("eval", "evaluation", "resize and central crop, the same each time"),
        _step("random-resized-crop", "a random rectangle, resized"),
        _step("flip", "mirrored left and right"),
        _step("color-jitter", "brightness, contrast, saturation and hue in random order"),
        _step("grayscale", "colours taken away"),
        _step("blur", "Gaussian blur"),
        _step("solarize", "bright values inverted"),
        _step("resize", "one size, whatever the proportions"),
    ]


@hookimpl
def register_encoders() -> list[Spec]:
    """ResNets and vision transformers, whatever torchvision and timm have, and a small network for a CPU."""
    return [
        _encoder("resnet18", "resnet18", "ResNet-18, 512 wide", _RESNET),
        _encoder("resnet34", "resnet34", "ResNet-34, 512 wide", _RESNET),
        _encoder("resnet50", "resnet50", "ResNet-50, 2,048 wide", _RESNET),
        _encoder("vit-tiny", "vit_tiny", "vision transformer, 12 layers, 192 wide", _VIT),
        _encoder("vit-small", "vit_small", "vision transformer, 12 layers, 384 wide", _VIT),
        Spec(
            "torchvision", "contrapose_image.backbones:torchvision", "any classifier of torchvision", modality="image"
        ),
        Spec("timm", "contrapose_image.timm_models:Timm", "any model of timm, which it needs", modality="image"),
        _encoder("small", "Small", "four convolutions for small images on a CPU"),
    ]


@hookimpl
def register_recipes() -> list[Spec]:
    """The papers' runs, of which a config needs to give but the data: ``recipe: image/simclr``."""
    return [
        _run("simclr", "SimCLR on ImageNet: ResNet-50, batches of 4,096", _SIMCLR),
        _run("simclr-cifar", "SimCLR on CIFAR-10: ResNet-50 with a small stem", _SIMCLR),
        _run("moco-v1", "MoCo v1 on ImageNet: ResNet-50, batches of 256", _MOCO_V1),
        _run("moco-v2", "MoCo v2 on ImageNet: ResNet-50, batches of 256", _MOCO_V2),
        _run("moco-v3", "MoCo v3 on ImageNet: ResNet-50, batches of 4,096", _MOCO_V3),
        _run("byol", "BYOL on ImageNet: ResNet-50, batches of 4,096", _BYOL),
        _run("barlow-twins", "Barlow Twins on ImageNet: ResNet-50, batches of 2,048", _BARLOW),
        _run("vicreg", "VICReg on ImageNet: ResNet-50, batches of 2,048", _VICREG),
        _run("simsiam", "SimSiam on ImageNet: ResNet-50, batches of 512", _SIMSIAM),
        _run("swav", "SwAV on ImageNet: ResNet-50, batches of 256, multi-crop", _SWAV),
        _run("dino", "DINO on ImageNet: ViT-S/16, batches of 1,024, multi-crop", _DINO),
        _run("densecl", "DenseCL on ImageNet: ResNet-50, batches of 256", _DENSECL),
        _run("pirl", "PIRL on ImageNet: ResNet-50, batches of 1,024", _PIRL),
        _run("cmc", "CMC on ImageNet: lightness against colours, a ResNet-50 for each", _CMC),
        _run("contrastive-crop", "ContrastiveCrop under MoCo v2 on ImageNet", _CCROP),
    ]
