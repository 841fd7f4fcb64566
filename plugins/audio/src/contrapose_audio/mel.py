"""Log-mels: from waves (C, samples) to (C, mels, frames), by one sample or by a batch on any device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from contrapose import view
from contrapose.config.build import check
from contrapose.errors import ConfigError, DataError, did_you_mean
from contrapose.types import Sample, View
from contrapose_audio.arguments import Count, NotNegative, Positive
from contrapose_audio.recording import to_wave

Bands = Annotated[int, Field(ge=1, le=1024)]
Samples = Annotated[int, Field(ge=1, le=2**16)]
LogMels = NDArray[np.float32]
"""float32 (C, mels, frames): natural logarithms, low mels first."""


@dataclass(frozen=True)
class Mel:
    """How a log-mel is computed: COLA's, unless said otherwise.

    Args:
        mels: bands, evenly spaced on the mel scale (HTK's), triangles in Hz, not normalised: as torchaudio's.
        window: samples of a frame, under a Hann window.
        hop: samples from one frame to the next.
        fft: samples that a frame is filled up to with zeros.
        low: Hz where the first band begins.
        high: Hz where the last one ends; half the rate where that is less.
        power: 1 for magnitudes, 2 for powers.
        centre: whether frames lie around multiples of ``hop``, beyond both ends, where the wave is mirrored; else all lie within.
        floor: what a band has at least before the logarithm.
    """

    mels: Bands = 64
    window: Count = 400
    hop: Count = 160
    fft: Samples = 1024
    low: NotNegative = 60.0
    high: Positive = 7800.0
    power: Literal[1, 2] = 1
    centre: bool = False
    floor: Positive = 1e-5


MELS = {
    "cola": Mel(),
    "byol-a": Mel(window=1024, power=2, centre=True, floor=float(np.finfo(np.float32).eps)),
    "clap": Mel(window=1024, hop=480, low=50.0, high=14000.0, power=2, centre=True, floor=1e-10),
}
"""As papers have them: COLA (Saeed et al. 2021) and BYOL-A (Niizumi et al. 2021) for 16 kHz, LAION-CLAP (Wu et al. 2023) for 48."""

MelNode = Literal["cola", "byol-a", "clap"] | Mapping[str, float | int | bool | str]
"""A name, or a mapping of what differs from COLA's: ``{mels: 80}``; from another's: ``{like: byol-a, mels: 80}``."""


def mel_of(node: MelNode) -> Mel:
    """The parameters that a config says. Raises ``ConfigError`` under ``mel``."""
    if isinstance(node, str):
        return MELS[node]
    said = dict(node)
    like = check(said.pop("like", "cola"), Literal["cola", "byol-a", "clap"], ("mel", "like"))
    hints = get_type_hints(Mel, include_extras=True)
    for name in said:
        if name not in hints:
            raise ConfigError(f"a log-mel has no {name!r}{did_you_mean(name, hints)}", ("mel", name))
    return replace(MELS[like], **{name: check(value, hints[name], ("mel", name)) for name, value in said.items()})


@view("audio")
class LogMel:
    """A wave's log-mel, float32 (C, mels, frames). Its batched form does the same on the training device.

    It stands after what changes waves and before what changes log-mels. A second of 16,000 samples has 98 frames in COLA's, as
    in the authors' code, whose bands are triangles on the mel scale where torchaudio's, which we use, are triangles in Hz.

    Args:
        mel: ``cola``, ``byol-a``, ``clap``, or a mapping of what differs: ``{mels: 80, hop: 320}``, ``{like: byol-a, mels: 80}``.
            Keys are mels, window, hop, fft (samples), low, high (Hz), power (1 or 2), centre, floor.
        rate: of the waves, in Hz; the modality says it.
    """

    def __init__(self, mel: MelNode = "cola", rate: Count = 16000) -> None:
        from torchaudio.functional import melscale_fbanks

        self.mel = mel_of(mel)
        self.rate = rate
        high = min(self.mel.high, rate / 2)
        if self.mel.low >= high or self.mel.window > self.mel.fft:
            raise ConfigError(
                f"a log-mel of bands from {self.mel.low:g} to {high:g} Hz by frames of {self.mel.window} samples "
                f"filled up to {self.mel.fft} can't be: at a rate of {rate:,} Hz, low < high and window <= fft",
                ("mel",),
            )
        bins = self.mel.fft // 2 + 1
        self.bands: Tensor = melscale_fbanks(bins, self.mel.low, high, self.mel.mels, rate)
        self.hann: Tensor = torch.hann_window(self.mel.window)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The log-mel."""
        wave = torch.from_numpy(to_wave(sample.data["audio"]))
        return [View("", "audio", self.of(wave).numpy())]

    def batched(self, data: Tensor, generator: torch.Generator) -> Tensor:
        """(n, C, samples) to (n, C, mels, frames), on the device of the data. Raises ``DataError`` for what are no waves."""
        if data.ndim != 3:
            raise DataError(f"expected waves (n, C, samples), not {tuple(data.shape)}: audio/log-mel stands once")
        return self.of(data)

    def of(self, waves: Tensor) -> Tensor:
        """Waves (..., samples) to log-mels (..., mels, frames), in float32. Raises ``DataError`` for waves shorter than a frame."""
        from torchaudio.functional import spectrogram

        mel, length = self.mel, waves.shape[-1]
        around = 0 if mel.centre else (mel.fft - mel.window) // 2  # torch's frames have the window in their middle
        shortest = mel.fft // 2 + 1 if mel.centre else mel.fft - 2 * around
        if length < shortest:
            raise DataError(f"{length} samples are too few for a log-mel, which needs {shortest}: take longer parts")
        spectra = spectrogram(
            waves.float(),
            around,
            self.hann.to(waves.device),
            mel.fft,
            mel.hop,
            mel.window,
            mel.power,
            False,
            mel.centre,
        )
        bands = spectra.mT @ self.bands.to(waves.device)
        return bands.clamp_min(mel.floor).log().mT.contiguous()

    def __repr__(self) -> str:
        return f"LogMel({self.mel})"
