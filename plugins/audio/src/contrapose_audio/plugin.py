"""What this plugin offers. Imports neither torch nor numpy nor a decoder."""

from __future__ import annotations

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_COLA = "Saeed et al., COLA, ICASSP 2021, arXiv:2010.10915"
_CLAR = "Al-Tahan & Mohsenzadeh, CLAR, AISTATS 2021, arXiv:2010.09542"
_BYOL_A = "Niizumi et al., BYOL for Audio, IJCNN 2021, arXiv:2103.06695"
_BYOL_A_2 = "Niizumi et al., BYOL for Audio, IEEE/ACM TASLP 2023, arXiv:2204.07402"
_AST = "Gong et al., AST, Interspeech 2021, arXiv:2104.01778"
_CLAP = "Wu et al., LAION-CLAP, ICASSP 2023, arXiv:2211.06687"
_CPC = "van den Oord et al. 2018, arXiv:1807.03748"
_HTSAT = "Chen et al., HTS-AT, ICASSP 2022, arXiv:2202.00874"
_WAV2VEC2 = "Baevski et al., wav2vec 2.0, NeurIPS 2020, arXiv:2006.11477"
_SPECAUGMENT = "Park et al., SpecAugment, Interspeech 2019, arXiv:1904.08779"


def _at(name: str, target: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_audio.{target}", summary, modality="audio", paper=paper)


def _preset(name: str, summary: str, paper: str) -> Spec:
    """A method that is ``presets/<name>.yaml``."""
    return Spec(name, f"contrapose_audio:presets/{name}.yaml", summary, paper=paper)


def _recipe(name: str, summary: str, paper: str) -> Spec:
    """A run that is ``recipes/<name>.yaml``."""
    return Spec(name, f"contrapose_audio:recipes/{name}.yaml", summary, modality="audio", paper=paper)


def _method(name: str, attr: str, summary: str, paper: str) -> Spec:
    return Spec(name, f"contrapose_audio.methods:{attr}", summary, paper=paper)


@hookimpl
def register_modalities() -> list[Spec]:
    """Sounds."""
    return [_at("audio", "modality:Audio", "sounds from WAV, FLAC, Ogg, MP3, the sound of videos, arrays")]


@hookimpl
def register_view_generators() -> list[Spec]:
    """What chooses a part, what changes it, and its log-mel."""
    return [
        _at("crop", "segments:Crop", "a part from anywhere in the recording", _COLA),
        _at("pair", "pair:Pair", "one part from anywhere, seen twice", _BYOL_A),
        _at("eval", "segments:Evaluation", "log-mels of parts spread evenly over the recording, the same each time"),
        _at("gain", "waves:gain", "louder or softer"),
        _at("noise", "waves:noise", "white, pink or brown noise", _CLAR),
        _at("fade", "waves:fade", "fades in and out, by one shape of five", _CLAR),
        _at("time-mask", "waves:time_mask", "a stretch of the wave becomes soft noise", _CLAR),
        _at("reverb", "waves:reverb", "the echo of a synthetic room"),
        _at("speed", "waves:speed", "faster and higher, or slower and lower"),
        _at("pitch", "waves:pitch", "higher or lower at the same speed", _CLAR),
        _at("log-mel", "mel:LogMel", "the log-mel spectrogram, in a worker or on the device"),
        _at("mask", "mels:mask", "bands and frames become the mean", _SPECAUGMENT),
        _at("mixup", "fitted:Mixup", "some of another sound, mixed as powers are", _BYOL_A),
        _at("resize-crop", "mels:resize_crop", "a rectangle of a larger canvas, brought to the same size", _BYOL_A),
        _at("fader", "mels:fader", "louder or softer from one end to the other", _BYOL_A_2),
        _at("normalise", "fitted:Normalise", "by mean and deviation of the training split", _BYOL_A),
    ]


@hookimpl
def register_encoders() -> list[Spec]:
    """A small network for a CPU, and those of papers."""
    return [
        _at("small", "encoders:Small", "four convolutions on a log-mel, for a CPU"),
        _at("torchvision", "backbones:Torchvision", "an EfficientNet or ResNet of torchvision on a log-mel", _COLA),
        _at("byol-a", "byol_a:ByolA", "BYOL-A's convolutions and MLP on a log-mel, either version", _BYOL_A_2),
        _at("ast", "spectrogram_transformer:AST", "a transformer on patches of a log-mel, by transformers", _AST),
        _at("htsat", "htsat:HTSAT", "CLAP's Swin transformer on a log-mel, by transformers", _HTSAT),
        _at("cpc", "cpc:CPC", "five convolutions of a wave, a frame for each 10 ms", _CPC),
        _at("wav2vec2", "wav2vec2:Wav2Vec2", "convolutions of a wave and a transformer, by transformers", _WAV2VEC2),
    ]


@hookimpl
def register_heads() -> list[Spec]:
    """COLA's."""
    return [Spec("tanh", "contrapose_audio.heads:Tanh", "a linear layer, LayerNorm and tanh", paper=_COLA)]


@hookimpl
def register_methods() -> list[Spec]:
    """Methods whose views are parts of a recording."""
    return [
        _method("cola", "cola", "an anchor finds the other part of its recording among the batch's", _COLA),
        _preset("byol-a", "BYOL on sounds: predict a momentum twin's projection of the other view", _BYOL_A),
        _preset("clar", "SimCLR on sounds: two augmentations of a wave against the batch", _CLAR),
        _preset("clap", "a sound and its caption, learnt temperature", _CLAP),
        Spec(
            "cpc-audio",
            "contrapose_audio.forecast:cpc_audio",
            "a wave so far predicts its next frames among drawn ones",
            paper=_CPC,
        ),
        _preset("wav2vec2", "masked frames find their quantised selves within the recording", _WAV2VEC2),
    ]


@hookimpl
def register_sources() -> list[Spec]:
    """wav2vec 2.0's targets, and what they are told from."""
    return [
        Spec("quantiser", "contrapose_audio.quantiser:Quantiser", "rows as words of codebooks", paper=_WAV2VEC2),
        Spec(
            "candidates",
            "contrapose_audio.candidates:Candidates",
            "an anchor's target among its sample's",
            paper=_WAV2VEC2,
        ),
    ]


@hookimpl
def register_loss_heads() -> list[Spec]:
    """What keeps codebooks in use."""
    return [Spec("diversity", "contrapose_audio.quantiser:Diversity", "how much of codebooks is idle", paper=_WAV2VEC2)]


@hookimpl
def register_recipes() -> list[Spec]:
    """Whole runs as in the papers; each says what of them is left out."""
    return [
        _recipe("cola", "two crops of each recording, EfficientNet-B0", _COLA),
        _recipe("byol-a", "two views of one second, the first version", _BYOL_A),
        _recipe("byol-a-v2", "the second version: less mixing, a fader, a wider network", _BYOL_A_2),
        _recipe("clar", "fades and masks of one second, ResNet-18", _CLAR),
        _recipe("clap", "sounds of 10 s and their captions, HTSAT and RoBERTa", _CLAP),
        _recipe("cpc-audio", "windows of 1.28 s of speech", _CPC),
        _recipe("wav2vec2", "masked frames of speech, wav2vec 2.0 base", _WAV2VEC2),
    ]
