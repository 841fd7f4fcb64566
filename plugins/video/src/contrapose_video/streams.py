"""Two networks that see the same moments in two ways, as colours and as motion: their clips, and how each teaches the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from contrapose import view
from contrapose.methods.mined import coclr
from contrapose.types import Sample, View
from contrapose_video.arguments import Count, Positive, Probability
from contrapose_video.clips import Several
from contrapose_video.footage import footage_of
from contrapose_video.samplers import uniform
from contrapose_video.then import each

STREAMS, SLOTS = ("rgb", "flow"), ("query", "key")
NAMES = tuple(f"{stream}_{slot}" for stream in STREAMS for slot in SLOTS)


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


def two_stream(
    learn: Literal["rgb", "flow"] | None = None,
    same: str = "sample",
    top: Count = 5,
    size: Count = 2048,
    tau: Positive = 0.07,
    out: Count = 128,
) -> dict[str, Any]:
    """The core's `coclr` of two networks for the views ``video/streams``: each mines positives for the other (Han et al. 2020).

    For ``encoders: {rgb: ..., flow: ...}``. Whatever embeds videos later is the first network that learns.

    Args:
        learn: the one that learns, while the other stands still and mines: one turn of the paper's alternation. By default both
            learn at once, each by the other one's momentum twin.
        same: the column in which clips of one video agree (a ``group``); they are positives, and aren't mined.
        top: how many samples are mined.
        size: of the queues.
        tau: temperature.
        out: width of the embeddings.
    """
    data = coclr(STREAMS, learn, same, top, size, tau, out)
    for name, branch in data["branches"].items():
        stream, _, slot = name.partition("_")
        branch["views"] = f"{stream}_{slot or 'query'}"
        if "of" not in branch:
            branch["encoder"] = stream
    return data | {"slots": [*NAMES]}
