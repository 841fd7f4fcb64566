"""What is fitted on log-mels of the training split: some recordings of it, each as likely, a random part of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch

from contrapose.errors import DataError
from contrapose.types import Sample
from contrapose_audio.arguments import Positive, Short
from contrapose_audio.mel import LogMel, LogMels, MelNode
from contrapose_audio.recording import Recording, recording_of
from contrapose_audio.segments import anywhere, samples_in

Found = TypeVar("Found")


def look(
    samples: Iterable[Sample],
    most: int,
    seconds: Positive,
    short: Short,
    mel: MelNode,
    rate: int,
    take: Callable[[LogMels], Found],
) -> list[Found]:
    """What ``take`` makes of the log-mel of a random part of at most ``most`` recordings, a function of the samples alone.

    By reservoir sampling (Vitter's algorithm R), so that samples need no length and no more than that many are decoded at a time.
    Raises ``DataError`` where none can be read.
    """
    rng, log_mel = np.random.default_rng(0), LogMel(mel, rate)
    found: list[Found] = []
    seen, reason = 0, "there is none"
    for sample in samples:
        seen += 1
        place = len(found) if len(found) < most else int(rng.integers(seen))
        if place >= most:
            continue
        try:
            made = take(_log_mel(sample.data["audio"], log_mel, seconds, short, rng))
        except DataError as error:
            reason = str(error)
            continue
        found[place:] = [made, *found[place + 1 :]]
    if not found:
        raise DataError(f"no sound of the training split can be read: {reason}")
    return found


def _log_mel(data: Any, log_mel: LogMel, seconds: float, short: Short, rng: np.random.Generator) -> LogMels:
    """Of a recording or wave; what is a log-mel already stays it."""
    if not isinstance(data, Recording) and np.ndim(data) == 3:
        return np.asarray(data, dtype=np.float32)
    recording = recording_of(data, log_mel.rate)
    wave = anywhere(recording, samples_in(seconds, recording.rate), short, rng).data
    return log_mel.of(torch.from_numpy(wave)).numpy()
