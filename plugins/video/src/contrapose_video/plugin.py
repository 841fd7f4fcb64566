"""What this plugin offers. Imports neither torch nor numpy nor a decoder."""

from __future__ import annotations

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_CVRL = "Qian et al., CVRL, CVPR 2021, arXiv:2008.03800"
_RHO = "Feichtenhofer et al., CVPR 2021, arXiv:2104.14558"
_PACE = "Wang et al., ECCV 2020, arXiv:2008.05861"
_FAME = "Ding et al., FAME, CVPR 2022, arXiv:2109.15130"
_VIDEOMAE = "Tong et al., NeurIPS 2022, arXiv:2203.12602"
_DPC = "Han et al., DPC, ICCV Workshops 2019, arXiv:1909.04656"
_CLIP4CLIP = "Luo et al., CLIP4Clip, 2021, arXiv:2104.08860"
_GDT = "Patrick et al., GDT, ICCV 2021, arXiv:2003.04298"
_COCLR = "Han et al., CoCLR, NeurIPS 2020, arXiv:2010.09709"
_MEMDPC = "Han et al., MemDPC, ECCV 2020, arXiv:2008.01065"


def _at(name: str, target: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_video.{target}", summary, modality="video", paper=paper)


def _run(name: str, summary: str, paper: str) -> Spec:
    return Spec(name, f"contrapose_video:recipes/{name}.yaml", summary, modality="video", paper=paper)


def _method(name: str, attr: str, summary: str, paper: str, module: str = "methods") -> Spec:
    return Spec(name, f"contrapose_video.{module}:{attr}", summary, paper=paper)


@hookimpl
def register_modalities() -> list[Spec]:
    """Videos."""
    return [_at("video", "modality:Video", "clips from MP4, MKV, WebM, AVI, GIF, folders of pictures, arrays")]


@hookimpl
def register_view_generators() -> list[Spec]:
    """What chooses frames, and what changes them."""
    return [
        _at("clip", "clips:Clip", "a clip from anywhere in the video"),
        _at("cvrl", "clips:Cvrl", "two clips, the likelier the nearer in time", _CVRL),
        _at("rho", "clips:Rho", "clips at independent moments, decoded at once", _RHO),
        _at("neighbours", "clips:Neighbours", "two clips within some seconds of each other"),
        _at("pace", "clips:Pace", "two clips, each at a random pace", _PACE),
        _at("streams", "streams:Streams", "two clips, each for a network of colours and one of motion", _COCLR),
        _at("eval", "clips:Evaluation", "clips spread evenly over the video, the same each time"),
        _at("crop", "frames:crop", "one random rectangle of all frames, resized, perhaps mirrored"),
        _at("frames", "frames:Frames", "a view of pictures on every frame, by one draw for the clip"),
        _at("flow", "flow:Flow", "optical flow in place of colours, by OpenCV or RAFT"),
        _at("fame", "fame:Fame", "what moves, pasted on another clip of the batch", _FAME),
    ]


@hookimpl
def register_encoders() -> list[Spec]:
    """A small network for a CPU, torchvision's networks, and what reads a clip block by block."""
    return [
        _at("small", "encoders:Small", "four (2+1)D convolutions for small clips on a CPU"),
        _at("torchvision", "backbones:Torchvision", "any video network of torchvision"),
        _at("videomae", "videomae:VideoMAE", "VideoMAE's vision transformer, random or from a folder", _VIDEOMAE),
        _at("blocks", "encoders:Blocks", "another encoder on consecutive blocks, each on its own", _DPC),
    ]


@hookimpl
def register_heads() -> list[Spec]:
    """DPC's and MemDPC's."""
    return [
        Spec("predict", "contrapose_video.dpc:Predict", "blocks seen predict the places of those to come", paper=_DPC),
        Spec("future", "contrapose_video.dpc:Future", "the places of the last blocks", paper=_DPC),
        Spec(
            "remember",
            "contrapose_video.memdpc:Remember",
            "blocks seen predict both ends out of a memory",
            paper=_MEMDPC,
        ),
        Spec("ends", "contrapose_video.memdpc:Ends", "the places of the last blocks and of the first", paper=_MEMDPC),
    ]


@hookimpl
def register_loss_heads() -> list[Spec]:
    """What tells a column of the views."""
    return [Spec("classify", "contrapose_video.classify:Classify", "a linear layer tells how a view was made")]


@hookimpl
def register_methods() -> list[Spec]:
    """Methods whose views are clips."""
    return [
        _method("cvrl", "cvrl", "two clips of a video agree", _CVRL),
        _method("rho-moco", "rho_moco", "each clip against a momentum twin's keys of the others, and a queue", _RHO),
        _method("rho-byol", "rho_byol", "each clip predicts a momentum twin's projection of the others", _RHO),
        _method("pace", "pace", "at which pace a clip was taken, and of which video it is", _PACE),
        _method("dpc", "dpc", "a clip so far predicts each place of what comes", _DPC),
        _method("fame", "fame", "MoCo against what moves on another's background", _FAME),
        _method("memdpc", "memdpc", "both ways, and out of a memory", _MEMDPC),
        _method(
            "two-stream", "two_stream", "CoCLR of colours and motion: each mines for the other", _COCLR, "two_stream"
        ),
        _method("video-clip", "video_clip", "a video finds its text, and a text its video", _CLIP4CLIP, "pairs"),
        _method("video-audio", "video_audio", "a clip finds its sound, and a sound its clip", _GDT, "pairs"),
    ]


@hookimpl
def register_recipes() -> list[Spec]:
    """The papers' runs, of which a config needs to give but the data: ``recipe: video/cvrl``."""
    return [
        _run("cvrl", "CVRL on Kinetics: batches of 1,024", _CVRL),
        _run("rho-moco", "MoCo on four clips of a video on Kinetics: batches of 64", _RHO),
        _run("rho-byol", "BYOL on two clips of a video on Kinetics: batches of 64", _RHO),
        _run("pace", "pace prediction on UCF101: R(2+1)D-18, batches of 30", _PACE),
        _run("dpc", "DPC on Kinetics at 128 pixels: batches of 128", _DPC),
        _run("memdpc", "MemDPC on UCF101 at 128 pixels: batches of 16", _MEMDPC),
        _run("coclr", "CoCLR on UCF101: an S3D for colours, one for flow, batches of 64", _COCLR),
    ]
