"""View generators that choose a part: from a recording to a wave, float32 (C, samples), with the columns ``time`` and ``duration``.

``time`` is the middle of the part in seconds from the recording's beginning, so that ``near(time, 1.5)`` in a predicate means what
it says. Only that part of a file is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from contrapose import view
from contrapose.config import build
from contrapose.errors import DataError
from contrapose.types import Sample, View
from contrapose.views import Compose, Identity
from contrapose_audio.arguments import Count, Positive, Short
from contrapose_audio.mel import LogMel, MelNode
from contrapose_audio.recording import Recording, Wave, recording_of


def part(recording: Recording, start: int, count: int, short: Short) -> Wave:
    """``count`` samples from ``start`` on; where the recording is shorter, all of it, as ``short`` says.

    ``pad`` puts it in the middle of silence, ``loop`` begins it anew as often as needed. Raises ``DataError`` for ``skip``.
    """
    if len(recording) >= count:
        return recording.read(start, count)
    if short == "skip":
        needed = count / recording.rate
        raise DataError(f"{recording.name}: too short, {recording.duration:.2f} s for a part of {needed:.2f} s")
    whole = recording.read()
    if short == "loop":
        return np.tile(whole, -(-count // whole.shape[1]))[:, :count]
    missing = count - whole.shape[1]
    return np.pad(whole, ((0, 0), (missing // 2, missing - missing // 2)))


def anywhere(recording: Recording, count: int, short: Short, rng: np.random.Generator) -> View:
    """A part that begins at any sample from which one fits, each as likely (COLA's two crops are two of these)."""
    start = int(rng.integers(max(len(recording) - count, 0) + 1))
    return View("", "audio", part(recording, start, count, short), _when(recording, start, count))


def _when(recording: Recording, start: int, count: int) -> dict[str, float]:
    within = min(count, len(recording))
    return {"time": (start + within / 2) / recording.rate, "duration": recording.duration}


@view("audio")
class Crop:
    """A part of ``seconds`` from anywhere in the recording; a method of two views gets two independent ones.

    COLA (Saeed et al., ICASSP 2021) takes 1 s at 16 kHz, and pads what is shorter with silence on both sides, as ``pad`` does.

    Args:
        seconds: of a part.
        short: of a recording that is shorter: ``pad`` puts it in the middle of silence, ``loop`` begins it anew, ``skip`` leaves it
            out, counted and listed.
        rate: of waves that another view made, in Hz; the modality says it.
    """

    def __init__(self, seconds: Positive = 1.0, short: Short = "pad", rate: Count = 16000) -> None:
        self.seconds, self.short, self.rate = seconds, short, rate

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The part, float32 (C, seconds * rate)."""
        recording = recording_of(sample.data["audio"], self.rate)
        return [anywhere(recording, samples_in(self.seconds, recording.rate), self.short, rng)]

    def __repr__(self) -> str:
        return f"Crop(seconds={self.seconds}, short={self.short!r})"


@view("audio")
class Evaluation:
    """``average`` parts, evenly from the recording's beginning to its end, over which embeddings are averaged; nothing is random.

    The middle one for 1. Of a recording that isn't longer than a part, one.

    Args:
        seconds: of a part.
        average: how many parts.
        short: as for ``audio/crop``; ``skip`` pads, as what can be heard is evaluated.
        mel: as for ``audio/log-mel``; null leaves waves.
        then: a view, or a list of them, that each part meets in the end (``audio/normalise``).
        rate: of waves that another view made, in Hz; the modality says it.
    """

    def __init__(
        self,
        seconds: Positive = 1.0,
        average: Count = 3,
        short: Short = "pad",
        mel: MelNode | None = "cola",
        then: Any = None,
        rate: Count = 16000,
    ) -> None:
        self.seconds, self.rate = seconds, rate
        self.short: Short = "pad" if short == "skip" else short
        self.view_names = tuple(f"part_{i}" for i in range(average))
        steps: list[Any] = [] if mel is None else [LogMel(mel, rate)]
        steps += [build("view", node, ("then",), modality="audio", rate=rate) for node in _listed(then)]
        self.steps = Compose(steps or [Identity("audio")])

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The parts."""
        recording = recording_of(sample.data["audio"], self.rate)
        count = samples_in(self.seconds, recording.rate)
        room = max(len(recording) - count, 0)
        average = len(self.view_names) if room else 1
        starts = np.linspace(0, room, average) if average > 1 else [room / 2]
        views = []
        for name, start in zip(self.view_names, starts, strict=False):
            wave = part(recording, int(start), count, self.short)
            made = self.steps(Sample(sample.id, {**sample.data, "audio": wave}, sample.meta), rng)[0]
            views.append(View(name, "audio", made.data, {**_when(recording, int(start), count), **made.meta}))
        return views

    def fit(self, samples: Iterable[Sample]) -> None:
        """Fit what comes in the end, if it fits."""
        self.steps.fit(samples)

    def state_dict(self) -> dict[str, Any]:
        """What was fitted."""
        return self.steps.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self.steps.load_state_dict(state)

    def __repr__(self) -> str:
        return f"Evaluation(seconds={self.seconds}, average={len(self.view_names)})"


def samples_in(seconds: float, rate: int) -> int:
    """How many samples so many seconds are; at least one."""
    return max(1, round(seconds * rate))


def _listed(node: Any) -> list[Any]:
    if node is None:
        return []
    return list(node) if isinstance(node, list | tuple) else [node]
