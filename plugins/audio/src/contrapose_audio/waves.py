"""Views that change waves, float32 (C, samples) at the modality's rate; all channels alike. They stand before ``audio/log-mel``.

Those with a batched form do the same to (n, C, samples) with a ``torch.Generator``.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from contrapose import view
from contrapose_audio.arguments import Count, NotNegative, Positive, Probability
from contrapose_audio.draws import WAVE, as_batch, as_given, rows
from contrapose_audio.recording import resampler

Factor = Annotated[float, Field(ge=0.1, le=10)]
"""Of a speed: beyond it a resampling filter is as long as the wave, or has no ratio of small numbers."""
Semitones = Annotated[float, Field(ge=0, le=36)]


@view("audio", batched=True)
def gain(wave: Any, rng: Any, low: float = -6.0, high: float = 6.0) -> Tensor:
    """Louder or softer by ``low`` to ``high`` dB, uniform.

    Args:
        low: dB at least.
        high: dB at most.
    """
    waves, draws = as_batch(wave, rng, WAVE)
    return as_given(waves * rows(10 ** (draws.uniform(low, high) / 20), waves), rng)


@view("audio", batched=True)
def noise(
    wave: Any,
    rng: Any,
    low: float = 0.0,
    high: float = 20.0,
    colour: Literal["white", "pink", "brown"] = "white",
) -> Tensor:
    """Noise that is ``low`` to ``high`` dB softer than the wave, uniform: white in CLAR (Al-Tahan and Mohsenzadeh, AISTATS 2021).

    Args:
        low: signal-to-noise ratio in dB, at least.
        high: at most.
        colour: power by frequency: ``white`` even, ``pink`` as 1/f, ``brown`` as 1/f^2.
    """
    waves, draws = as_batch(wave, rng, WAVE)
    made = draws.normal(tuple(waves.shape[1:]))
    if colour != "white":
        spectrum = torch.fft.rfft(made)
        bins = torch.arange(spectrum.shape[-1], device=waves.device).clamp_min(1)
        made = torch.fft.irfft(spectrum * bins ** (-0.5 if colour == "pink" else -1.0), n=waves.shape[-1])
    signal, noisy = (x.square().mean(dim=(1, 2), keepdim=True) for x in (waves, made))
    ratio = rows(10 ** (-draws.uniform(low, high) / 20), waves)
    return as_given(waves + made * (signal / noisy.clamp_min(1e-12)).sqrt() * ratio, rng)


@view("audio", batched=True)
def fade(wave: Any, rng: Any, most: Probability = 0.5) -> Tensor:
    """In at the beginning and out at the end, both by one shape of five: CLAR's fade, as in the authors' code (``add_fade``).

    The shapes are linear, exponential, logarithmic, a quarter of a sine, and half a sine.

    Args:
        most: share of the samples that each of the two may take; how many is uniform from none to this.
    """
    waves, draws = as_batch(wave, rng, WAVE)
    shape, count = draws.upto(4), waves.shape[-1]
    longest = max(int(count * most) - 1, 0)
    way_in, way_out = (_rise(draws.upto(longest), shape, count) for _ in range(2))
    return as_given(waves * (way_in * way_out.flip(-1)).to(waves.dtype)[:, None], rng)


def _rise(length: Tensor, shape: Tensor, count: int) -> Tensor:
    """(n, count): from 0 to 1 over the first ``length`` (n,) samples, then 1."""
    place = torch.arange(count, device=length.device)
    x = (place / (length[:, None] - 1).clamp_min(1)).clamp(max=1)
    shapes = torch.stack(
        [
            x,
            2 ** (x - 1) * x,
            (0.1 + x).log10() + 1,
            (x * math.pi / 2).sin(),
            (x * math.pi - math.pi / 2).sin() / 2 + 0.5,
        ]
    )
    chosen = shapes[shape, torch.arange(len(shape), device=shape.device)].clamp(0, 1)
    return torch.where(place < length[:, None], chosen, 1.0)


@view("audio", batched=True)
def time_mask(
    wave: Any, rng: Any, share: Probability = 0.125, p: Probability = 0.5, loud: NotNegative = 0.01
) -> Tensor:
    """With probability ``p`` a stretch anywhere becomes soft noise: CLAR's time masking, as in the authors' code.

    Args:
        share: of the samples that are masked.
        p: probability.
        loud: standard deviation of the noise; 0 for silence.
    """
    waves, draws = as_batch(wave, rng, WAVE)
    count = waves.shape[-1]
    length = int(share * count)
    start = draws.upto(max(count - length - 1, 0))[:, None]
    place = torch.arange(count, device=waves.device)
    masked = (place >= start) & (place < start + length) & (draws.uniform() < p)[:, None]
    return as_given(torch.where(masked[:, None], loud * draws.normal(tuple(waves.shape[1:])), waves), rng)


@view("audio", batched=True)
def reverb(
    wave: Any, rng: Any, low: Positive = 0.1, high: Positive = 1.0, wet: Probability = 0.5, rate: Count = 16000
) -> Tensor:
    """As in a room: the wave convolved with an impulse of white noise that dies away exponentially, mixed with the wave itself.

    Args:
        low: seconds in which the impulse falls by 60 dB, at least.
        high: at most; uniform between.
        wet: share of the convolved wave in the mix, at most; uniform from 0.
        rate: of the wave, in Hz; the modality says it.
    """
    waves, draws = as_batch(wave, rng, WAVE)
    count = waves.shape[-1]
    time = torch.arange(min(math.ceil(high * rate), count), device=waves.device) / rate
    fall = 10 ** (-3 * time / rows(draws.uniform(low, high), waves))
    impulse = draws.normal((1, len(time))) * fall
    impulse = impulse / impulse.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-12)
    size = count + len(time)
    echo = torch.fft.irfft(torch.fft.rfft(waves, n=size) * torch.fft.rfft(impulse, n=size), n=size)[..., :count]
    share = rows(draws.uniform(0, wet), waves)
    return as_given((1 - share) * waves + share * echo, rng)


@view("audio")
def speed(wave: Any, rng: np.random.Generator, low: Factor = 0.9, high: Factor = 1.1) -> Tensor:
    """Faster or slower, and so higher or lower, by a factor uniform between ``low`` and ``high``; as long as before.

    What is too long then loses both ends, what is too short gets silence on both sides.

    Args:
        low: factor at least.
        high: at most.
    """
    waves, draws = as_batch(wave, rng, WAVE)
    factor = Fraction(float(draws.uniform(low, high))).limit_denominator(100)
    return as_given(_middle(resampler(factor)(waves), waves.shape[-1]), rng)


@view("audio")
def pitch(wave: Any, rng: np.random.Generator, semitones: Semitones = 4.0) -> Tensor:
    """Higher or lower by up to ``semitones``, uniform, at the same speed: a phase vocoder (torchaudio's), then resampling.

    Args:
        semitones: at most, either way. CLAR's code takes whole ones up to 15.
    """
    from torchaudio.functional import phase_vocoder

    waves, draws = as_batch(wave, rng, WAVE)
    factor = Fraction(2 ** (float(draws.uniform(-semitones, semitones)) / 12)).limit_denominator(100)
    count, fft, hop = waves.shape[-1], 512, 128
    padded = F.pad(waves, (0, max(fft - count, 0)))[0]
    window = torch.hann_window(fft)
    spectrum = torch.stft(padded, fft, hop, window=window, pad_mode="constant", return_complex=True)
    advance = torch.linspace(0, math.pi * hop, fft // 2 + 1)[:, None]
    slower = phase_vocoder(spectrum, 1 / float(factor), advance)
    stretched = torch.istft(slower, fft, hop, window=window, length=round(padded.shape[-1] * float(factor)))
    return as_given(_fitted(resampler(factor)(stretched[None]), count), rng)


def _middle(waves: Tensor, count: int) -> Tensor:
    """``count`` samples around the middle, silence where there are none."""
    more = count - waves.shape[-1]
    return F.pad(waves, (more // 2, more - more // 2)).contiguous()


def _fitted(waves: Tensor, count: int) -> Tensor:
    """The first ``count`` samples, silence where there are none."""
    return F.pad(waves, (0, count - waves.shape[-1])).contiguous()
