"""What this plugin offers. Imports neither torch nor numpy nor a decoder."""

from __future__ import annotations

from contrapose import Spec, hookimpl

CONTRAPOSE_API = 1

_COLA = "Saeed et al., COLA, ICASSP 2021, arXiv:2010.10915"


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
        _at("log-mel", "mel:LogMel", "the log-mel spectrogram, in a worker or on the device"),
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
