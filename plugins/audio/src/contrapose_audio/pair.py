"""One part of a recording, seen twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from contrapose import view
from contrapose.config import build
from contrapose.types import Sample, View
from contrapose.views import Compose
from contrapose_audio.arguments import Count, Positive, Short
from contrapose_audio.recording import recording_of
from contrapose_audio.segments import anywhere, samples_in


@view("audio")
class Pair:
    """Two views, ``a`` and ``b``, of the same part from anywhere in the recording, each by draws of its own.

    BYOL-A (Niizumi et al., 2021) and CLAR (Al-Tahan & Mohsenzadeh, 2021) ask that views of one moment agree, where COLA's are
    of two.

    Args:
        each: a view of the part, or a list of them: what tells the two apart.
        seconds: of the part.
        short: as for ``audio/crop``.
        rate: of waves that another view made, in Hz; the modality says it.
    """

    def __init__(self, each: Any, seconds: Positive = 1.0, short: Short = "pad", rate: Count = 16000) -> None:
        nodes = each if isinstance(each, list | tuple) else [each]
        steps = [build("view", n, ("each", i), modality="audio", rate=rate) for i, n in enumerate(nodes)]
        self.each = Compose(steps)
        self.seconds, self.short, self.rate = seconds, short, rate
        self.view_names = ("a", "b")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """Both views, with the columns ``time`` and ``duration`` of the part."""
        recording = recording_of(sample.data["audio"], self.rate)
        part = anywhere(recording, samples_in(self.seconds, recording.rate), self.short, rng)
        heard = replace(sample, data={**sample.data, "audio": part.data})
        made = [self.each(heard, rng)[0] for _ in self.view_names]
        return [
            View(name, "audio", one.data, {**part.meta, **one.meta})
            for name, one in zip(self.view_names, made, strict=True)
        ]

    def fit(self, samples: Iterable[Sample]) -> None:
        """Fit what tells them apart, if it fits."""
        self.each.fit(samples)

    def state_dict(self) -> dict[str, Any]:
        """What was fitted."""
        return self.each.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave."""
        self.each.load_state_dict(state)

    def __repr__(self) -> str:
        return f"Pair(seconds={self.seconds}, each={self.each!r})"
