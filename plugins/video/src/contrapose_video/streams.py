"""Clips for two networks that see the same moments in two ways, as colours and as motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrapose import view
from contrapose.types import Sample, View
from contrapose_video.arguments import Probability
from contrapose_video.clips import Several
from contrapose_video.footage import footage_of
from contrapose_video.samplers import uniform
from contrapose_video.then import each
from contrapose_video.two_stream import NAMES, SLOTS, STREAMS


@view("video", names=NAMES)
@dataclass(kw_only=True, eq=False)
class Streams(Several):
    """Two clips of a video, ``query`` and ``key``, each for two networks: ``rgb_query``, ``rgb_key``, ``flow_query``, ``flow_key``.

    ``then`` is by network, ``{rgb: ..., flow: ...}``. What is done to a clip draws the same for both, so that crops which come
    first are of one place (CoCLR, Han et al. 2020). Each moment is decoded once.

    Args:
        same: how often both clips are of one moment; else they are independent. Half of the time in the authors' code.
    """

    same: Probability = 0.5

    def __post_init__(self) -> None:
        of = each(self.then, STREAMS, self.size)
        self._generators = {f"{stream}_{slot}": made for stream, made in of.items() for slot in SLOTS}

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The four clips."""
        footage = footage_of(sample.data["video"])
        starts = uniform(self.room(footage), rng, 2)
        if rng.random() < self.same:
            starts[1] = starts[0]
        seeds = rng.integers(2**63, size=2)
        clips = self.made(sample, footage, np.tile(starts, 2), rng)
        return [super(Streams, self)._then(sample, c, np.random.default_rng(seeds[i % 2])) for i, c in enumerate(clips)]

    def _then(self, sample: Sample, clip: View, rng: np.random.Generator) -> View:
        """Nothing yet: ``__call__`` does it, by one draw a moment."""
        return clip
