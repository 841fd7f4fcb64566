"""What this plugin offers. Imports neither torch nor numpy nor a decoder."""

from __future__ import annotations

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_COLA = "Saeed et al., COLA, ICASSP 2021, arXiv:2010.10915"
_CLAR = "Al-Tahan & Mohsenzadeh, CLAR, AISTATS 2021, arXiv:2010.09542"
_BYOL_A = "Niizumi et al., BYOL for Audio, IJCNN 2021, arXiv:2103.06695"
_BYOL_A_2 = "Niizumi et al., BYOL for Audio, IEEE/ACM TASLP 2023, arXiv:2204.07402"
_SPECAUGMENT = "Park et al., SpecAugment, Interspeech 2019, arXiv:1904.08779"


def _at(name: str, target: str, summary: str, paper: str | None = None) -> Spec:
    return Spec(name, f"contrapose_audio.{target}", summary, modality="audio", paper=paper)


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
    """A small network for a CPU."""
    return [_at("small", "encoders:Small", "four convolutions on a log-mel, for a CPU")]


@hookimpl
def register_heads() -> list[Spec]:
    """COLA's."""
    return [Spec("tanh", "contrapose_audio.heads:Tanh", "a linear layer, LayerNorm and tanh", paper=_COLA)]


@hookimpl
def register_methods() -> list[Spec]:
    """Methods whose views are parts of a recording."""
    return [_method("cola", "cola", "an anchor finds the other part of its recording among the batch's", _COLA)]
