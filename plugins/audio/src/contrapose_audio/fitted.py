"""Views of log-mels that are fitted on the training split: BYOL-A's mixing with other sounds, and normalisation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrapose import view
from contrapose.errors import ConfigError
from contrapose.types import Sample, View
from contrapose_audio.arguments import Count, Positive, Probability, Short
from contrapose_audio.draws import MEL, Rng, as_batch, as_given, rows
from contrapose_audio.looks import look
from contrapose_audio.mel import LogMels, MelNode

EPS = float(np.finfo(np.float32).eps)


class Fitted:
    """What both share: how log-mels of the training split are had. It must be as the steps before have them.

    Args:
        seconds: of a part, as for ``audio/crop``.
        short: as for ``audio/crop``; ``skip`` looks at longer recordings alone.
        mel: as for ``audio/log-mel``.
        rate: of waves, in Hz; the modality says it.
    """

    modality = "audio"

    def __init__(self, seconds: Positive, short: Short, mel: MelNode, rate: Count) -> None:
        self.seconds, self.short, self.mel, self.rate = seconds, short, mel, rate

    def apply(self, mel: Any, rng: Rng) -> Tensor:
        """The view of a log-mel (C, mels, frames), or of a batch of them with a ``torch.Generator``."""
        raise NotImplementedError

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The view, (C, mels, frames)."""
        return [View("", "audio", self.apply(sample.data["audio"], rng))]

    def batched(self, data: Tensor, generator: torch.Generator) -> Tensor:
        """(n, C, mels, frames) to the same."""
        return self.apply(data, generator)


@view("audio")
class Mixup(Fitted):
    """BYOL-A's mix-up (Niizumi et al., 2021): log((1 - a) exp(x) + a exp(z)), a ~ U(0, ``ratio``), z of ``memory`` sounds.

    In the paper the memory holds the inputs of the last steps. So that a view is a function of its sample and its draws alone,
    here it is filled once, with a random part of each of so many recordings of the training split, and saved with the run, in half
    precision.

    Args:
        ratio: of the other sound in the mix, at most.
        memory: how many sounds, at most.
        seconds: of a part, as for ``audio/crop``.
        short: as for ``audio/crop``; ``skip`` takes longer recordings alone.
        mel: as for ``audio/log-mel``.
        rate: of waves, in Hz; the modality says it.
    """

    def __init__(
        self,
        ratio: Probability = 0.4,
        memory: Count = 2048,
        seconds: Positive = 1.0,
        short: Short = "pad",
        mel: MelNode = "cola",
        rate: Count = 16000,
    ) -> None:
        super().__init__(seconds, short, mel, rate)
        self.ratio, self.memory = ratio, memory
        self.sounds: Tensor | None = None

    def fit(self, samples: Iterable[Sample]) -> None:
        """Fill the memory. Raises ``DataError`` where no sound can be read."""
        found = look(samples, self.memory, self.seconds, self.short, self.mel, self.rate, _half)
        self.sounds = torch.from_numpy(np.stack(found))

    def state_dict(self) -> dict[str, Any]:
        """The memory, float16 (n, C, mels, frames)."""
        return {} if self.sounds is None else {"sounds": self.sounds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self.sounds = state["sounds"]

    def apply(self, mel: Any, rng: Rng) -> Tensor:
        """The mix. Raises ``ConfigError`` before the memory is filled, and where its log-mels are of another shape."""
        mels, draws = as_batch(mel, rng, MEL)
        if self.sounds is None or self.sounds.shape[1:] != mels.shape[1:]:
            has = "none" if self.sounds is None else str(tuple(self.sounds.shape[1:]))
            raise ConfigError(
                f"audio/mixup mixes log-mels {tuple(mels.shape[1:])}, but was fitted on {has}: give it the seconds and mel of the "
                "steps before"
            )
        share = rows(draws.uniform(0, self.ratio), mels)
        chosen = draws.upto(len(self.sounds) - 1)
        other = self.sounds[chosen.cpu()].to(mels.device, mels.dtype)
        return as_given(((1 - share) * mels.exp() + share * other.exp() + EPS).log(), rng)

    def __repr__(self) -> str:
        return f"Mixup(ratio={self.ratio}, memory={self.memory})"


@view("audio")
class Normalise(Fitted):
    """(x - mean) / std, both of all values of the training split's log-mels: one number each, as in BYOL-A (Niizumi et al., 2021).

    After ``audio/mixup``, which needs logarithms as they are, and before ``audio/resize-crop``, whose canvas is 0.

    Args:
        most: recordings that are looked at; BYOL-A's code takes 10,000.
        seconds: of a part, as for ``audio/crop``.
        short: as for ``audio/crop``; ``skip`` looks at longer recordings alone.
        mel: as for ``audio/log-mel``.
        rate: of waves, in Hz; the modality says it.
    """

    def __init__(
        self,
        most: Count = 10000,
        seconds: Positive = 1.0,
        short: Short = "pad",
        mel: MelNode = "cola",
        rate: Count = 16000,
    ) -> None:
        super().__init__(seconds, short, mel, rate)
        self.most = most
        self.mean, self.std = 0.0, 0.0

    def fit(self, samples: Iterable[Sample]) -> None:
        """Find mean and standard deviation. Raises ``DataError`` where no sound can be read."""
        found = np.array(look(samples, self.most, self.seconds, self.short, self.mel, self.rate, _moments))
        first, second = found.mean(axis=0)
        self.mean, self.std = float(first), float(max(second - first**2, 0.0) ** 0.5)

    def state_dict(self) -> dict[str, Any]:
        """``mean`` and ``std``."""
        return {"mean": self.mean, "std": self.std} if self.std else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self.mean, self.std = float(state["mean"]), float(state["std"])

    def apply(self, mel: Any, rng: Rng) -> Tensor:
        """The normalised log-mel. Raises ``ConfigError`` before it is fitted."""
        mels, _ = as_batch(mel, rng, MEL)
        if not self.std:
            raise ConfigError("audio/normalise isn't fitted, or every sound of the training split is silence")
        return as_given((mels - self.mean) / self.std, rng)

    def __repr__(self) -> str:
        return f"Normalise(mean={self.mean:.3g}, std={self.std:.3g})"


def _half(mel: LogMels) -> Any:
    return mel.astype(np.float16)


def _moments(mel: LogMels) -> tuple[float, float]:
    return float(mel.mean(dtype=np.float64)), float(np.square(mel, dtype=np.float64).mean())
