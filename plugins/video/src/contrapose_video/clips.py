"""View generators that choose frames: from footage to clips, uint8 (T, H, W, 3), with the columns ``time`` and ``duration``.

``time`` is the middle of a clip in seconds from the video's first frame, so that ``near(time, 1.5)`` in a predicate means what it
says at any frame rate. A clip takes every ``stride``-th frame, or, where ``fps`` is given, so many a second by the frames' own
timestamps, as a video of changing rate needs it. All clips of a video are decoded by one call.

A generator's fields are its config's arguments, by name; those that all have are inherited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contrapose import view
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample, View
from contrapose_video.arguments import Count, NotNegative, Positive
from contrapose_video.arguments import Short as ShortClip
from contrapose_video.footage import Footage, footage_of
from contrapose_video.samplers import Starts, decreasing, neighbours, spread, uniform
from contrapose_video.then import Then, each


@dataclass(kw_only=True, eq=False)
class Clips:
    """What the generators share: how long a clip is, and how frames are had. Its fields are arguments of them all.

    Args:
        frames: of a clip.
        stride: takes every so many of the video's frames.
        fps: takes so many a second instead, whatever the video's rate.
        side: what the shorter side of a larger picture is brought to while decoding, in pixels.
        short: of a video shorter than a clip: ``loop`` begins anew, ``clamp`` stays at the last frame, ``skip`` leaves it out,
            counted and listed.
    """

    frames: Count = 16
    stride: Count = 2
    fps: Positive | None = None
    side: Count | None = None
    short: ShortClip = "loop"

    modality = "video"
    makes = "video"
    view_names: tuple[str, ...] = field(default=(), init=False, repr=False)

    def step(self, footage: Footage) -> float:
        """Seconds between two frames of a clip."""
        return 1 / self.fps if self.fps else self.stride * footage.interval

    def room(self, footage: Footage, speed: float = 1.0) -> float:
        """How much later than the first frame a clip may begin. Raises ``DataError`` for a short video that is to be skipped."""
        needs = (self.frames - 1) * self.step(footage) * speed
        left = footage.duration - needs
        if left <= 0 and self.short == "skip":
            raise DataError(f"{footage.name}: too short, {footage.duration:.2f} s for a clip of {needs:.2f} s")
        return max(left, 0.0)

    def numbers(self, footage: Footage, starts: Starts, speed: NDArray[np.float64] | float = 1.0) -> NDArray[np.int64]:
        """The frames (clips, T) of clips that begin at ``starts`` (clips,), whose steps are ``speed`` times as long."""
        steps = np.arange(self.frames) * self.step(footage)
        moments = starts[:, None] + np.multiply.outer(np.broadcast_to(speed, starts.shape), steps)
        if self.short == "loop":
            moments = moments % footage.duration
        return footage.at(moments)

    def made(
        self,
        sample: Sample,
        footage: Footage,
        starts: Starts,
        rng: np.random.Generator,
        speed: NDArray[np.float64] | float = 1.0,
        **columns: Sequence[float | int],
    ) -> list[View]:
        """The clips that begin at ``starts``, each after what is to be done ``then``."""
        numbers = self.numbers(footage, starts, speed)
        clips = footage.frames(numbers.reshape(-1), self.side)
        clips = clips.reshape(*numbers.shape, *clips.shape[1:])
        length = np.broadcast_to(speed, starts.shape) * self.frames * self.step(footage)
        views = []
        for i, name in enumerate(self.view_names or ("",)):
            if i == len(starts):
                break
            meta = {"time": float(starts[i] + length[i] / 2), "duration": footage.duration}
            meta |= {key: values[i] for key, values in columns.items()}
            views.append(self._then(sample, View(name, "video", clips[i], meta), rng))
        return views

    def _then(self, sample: Sample, clip: View, rng: np.random.Generator) -> View:
        """A clip after what is to be done to it: nothing, of a single clip."""
        return clip


@dataclass(kw_only=True, eq=False)
class Several(Clips):
    """Several clips of a video, and what is done to each.

    Args:
        size: of the clips after ``then``, which hands it to its views where they take one.
        then: what is done to each clip: a view of clips, a list of them, or a mapping from the clips' names to these.
    """

    size: Count | None = None
    then: Then = None

    def __post_init__(self) -> None:
        self._generators = each(self.then, self.view_names, self.size)

    def _then(self, sample: Sample, clip: View, rng: np.random.Generator) -> View:
        generator = self._generators.get(clip.name)
        if generator is None:
            return clip
        made = generator(Sample(sample.id, {**sample.data, "video": clip.data}, sample.meta), rng)
        if len(made) != 1:
            raise ConfigError(f"{generator!r} made {len(made)} views of a clip where one is needed", ("then",))
        return View(clip.name, "video", made[0].data, {**clip.meta, **made[0].meta})


@view("video")
@dataclass(kw_only=True, eq=False)
class Clip(Clips):
    """One clip from anywhere in the video; with ``count: 2`` in a config two independent ones, and so on."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The clip."""
        footage = footage_of(sample.data["video"])
        return self.made(sample, footage, uniform(self.room(footage), rng), rng)


@view("video", names=("a", "b"))
@dataclass(kw_only=True, eq=False)
class Cvrl(Several):
    """CVRL's two clips, ``a`` and ``b``, the likelier the nearer they are in time (`samplers.decreasing`)."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The two clips."""
        footage = footage_of(sample.data["video"])
        return self.made(sample, footage, decreasing(self.room(footage), rng), rng)


@view("video")
@dataclass(kw_only=True, eq=False)
class Rho(Several):
    """``clips`` clips at independent random moments, named ``clip_0`` and so on, in the order of time; decoded by one call.

    In the order of time as in the authors' code, whose MoCo takes the first as the query.
    """

    clips: Count = 2
    frames: Count = 8
    stride: Count = 8

    def __post_init__(self) -> None:
        self.view_names = tuple(f"clip_{i}" for i in range(self.clips))
        super().__post_init__()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The clips."""
        footage = footage_of(sample.data["video"])
        return self.made(sample, footage, np.sort(uniform(self.room(footage), rng, len(self.view_names))), rng)


@view("video", names=("a", "b"))
@dataclass(kw_only=True, eq=False)
class Neighbours(Several):
    """Two clips, ``a`` and ``b``, that begin at most ``within`` seconds apart."""

    within: NotNegative = 1.0

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The two clips."""
        footage = footage_of(sample.data["video"])
        return self.made(sample, footage, neighbours(self.room(footage), rng, self.within), rng)


@view("video", names=("a", "b"))
@dataclass(kw_only=True, eq=False)
class Pace(Several):
    """Two clips of one video, ``a`` and ``b``, each at a random pace, which the column ``pace`` tells: 0 is that of ``stride``.

    Wang, Jiao and Liu, ECCV 2020, section 3: at pace p every (p x stride)-th frame is taken; 1 to ``paces`` there, and loops.
    """

    paces: Count = 4
    stride: Count = 1

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The two clips."""
        footage = footage_of(sample.data["video"])
        pace = rng.integers(self.paces, size=2)
        starts = np.concatenate([uniform(self.room(footage, p + 1), rng) for p in pace])
        return self.made(sample, footage, starts, rng, (pace + 1).astype(np.float64), pace=[int(p) for p in pace])


@view("video")
@dataclass(kw_only=True, eq=False)
class Evaluation(Clips):
    """``average`` clips, evenly from the video's beginning to its end, over which embeddings are averaged; nothing is random.

    The middle one for 1. Of a video that isn't longer than a clip, one. The middle square is cut out, and brought to ``size``
    pixels; float32 (3, T, size, size).
    """

    average: Count = 10
    size: Count = 112
    side: Count | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.view_names = tuple(f"clip_{i}" for i in range(self.average))
        self.side = self.size
        self.short = "loop" if self.short == "skip" else self.short  # what can be seen is evaluated

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The clips."""
        from contrapose_video.frames import central

        footage = footage_of(sample.data["video"])
        room = self.room(footage) - footage.interval  # the last clip begins with its first frame, not as that one ends
        starts = spread(max(room, 0.0), len(self.view_names) if room > 1e-6 else 1)
        views = self.made(sample, footage, starts, rng)
        return [View(v.name, "video", central(v.data, self.size), v.meta) for v in views]
