"""View generators that choose frames: from footage to clips, uint8 (T, H, W, 3), with the columns ``time`` and ``duration``.

``time`` is the middle of a clip in seconds from the video's first frame, so that ``near(time, 1.5)`` in a predicate means what it
says at any frame rate. A clip takes every ``stride``-th frame, or, where ``fps`` is given, so many a second by the frames' own
timestamps, as a video of changing rate needs it. All clips of a video are decoded by one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrapose import view
from contrapose.config import build
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample, View, ViewGenerator
from contrapose.views import Compose
from contrapose_video.arguments import Count, NotNegative, Positive
from contrapose_video.arguments import Short as ShortClip
from contrapose_video.footage import Footage, footage_of
from contrapose_video.samplers import Starts, decreasing, neighbours, spread, uniform

Node = Any
Then = Node | Mapping[str, Node] | None
Way = tuple[str | int, ...]


class Clips:
    """What the generators share: how long a clip is, and how frames are had.

    Args:
        frames: of a clip.
        stride: takes every so many of the video's frames.
        fps: takes so many a second instead, whatever the video's rate.
        side: what the shorter side of a larger picture is brought to while decoding, in pixels.
        short: of a video shorter than a clip: ``loop`` begins anew, ``clamp`` stays at the last frame, ``skip`` leaves it out,
            counted and listed.
        size: of the clips after ``then``, which hands it to its views where they take one.
        then: what is done to each clip: a view of clips, a list of them, or a mapping from the clips' names to these.
    """

    modality = "video"
    makes = "video"

    def __init__(
        self,
        frames: Count = 16,
        stride: Count = 2,
        fps: Positive | None = None,
        side: Count | None = None,
        short: ShortClip = "loop",
        size: Count | None = None,
        then: Then = None,
        names: Sequence[str] = (),
    ) -> None:
        self.frames, self.stride, self.fps, self.side, self.short = frames, stride, fps, side, short
        self.view_names = tuple(names)
        self.then = _each(then, self.view_names, size)

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
        generator = self.then.get(clip.name)
        if generator is None:
            return clip
        made = generator(Sample(sample.id, {**sample.data, "video": clip.data}, sample.meta), rng)
        if len(made) != 1:
            raise ConfigError(f"{generator!r} made {len(made)} views of a clip where one is needed", ("then",))
        return View(clip.name, "video", made[0].data, {**clip.meta, **made[0].meta})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(frames={self.frames}, stride={self.stride}, fps={self.fps}, side={self.side})"


@view("video")
class Clip(Clips):
    """One clip from anywhere in the video; with ``count: 2`` in a config two independent ones, and so on."""

    def __init__(
        self,
        frames: Count = 16,
        stride: Count = 2,
        fps: Positive | None = None,
        side: Count | None = None,
        short: ShortClip = "loop",
    ) -> None:
        super().__init__(frames, stride, fps, side, short)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The clip."""
        footage = footage_of(sample.data["video"])
        return self.made(sample, footage, uniform(self.room(footage), rng), rng)


@view("video", names=("a", "b"))
class Cvrl(Clips):
    """CVRL's two clips, ``a`` and ``b``, the likelier the nearer they are in time (`samplers.decreasing`)."""

    def __init__(
        self,
        frames: Count = 16,
        stride: Count = 2,
        fps: Positive | None = None,
        side: Count | None = None,
        short: ShortClip = "loop",
        size: Count | None = None,
        then: Then = None,
    ) -> None:
        super().__init__(frames, stride, fps, side, short, size, then, ("a", "b"))

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The two clips."""
        footage = footage_of(sample.data["video"])
        return self.made(sample, footage, decreasing(self.room(footage), rng), rng)


@view("video")
class Rho(Clips):
    """``clips`` clips at independent random moments, named ``clip_0`` and so on, in the order of time; decoded by one call.

    In the order of time as in the authors' code, whose MoCo takes the first as the query.
    """

    def __init__(
        self,
        clips: Count = 2,
        frames: Count = 8,
        stride: Count = 8,
        fps: Positive | None = None,
        side: Count | None = None,
        short: ShortClip = "loop",
        size: Count | None = None,
        then: Then = None,
    ) -> None:
        super().__init__(frames, stride, fps, side, short, size, then, [f"clip_{i}" for i in range(clips)])

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The clips."""
        footage = footage_of(sample.data["video"])
        return self.made(sample, footage, np.sort(uniform(self.room(footage), rng, len(self.view_names))), rng)


@view("video", names=("a", "b"))
class Neighbours(Clips):
    """Two clips, ``a`` and ``b``, that begin at most ``within`` seconds apart."""

    def __init__(
        self,
        within: NotNegative = 1.0,
        frames: Count = 16,
        stride: Count = 2,
        fps: Positive | None = None,
        side: Count | None = None,
        short: ShortClip = "loop",
        size: Count | None = None,
        then: Then = None,
    ) -> None:
        super().__init__(frames, stride, fps, side, short, size, then, ("a", "b"))
        self.within = within

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The two clips."""
        footage = footage_of(sample.data["video"])
        return self.made(sample, footage, neighbours(self.room(footage), rng, self.within), rng)


@view("video", names=("a", "b"))
class Pace(Clips):
    """Two clips of one video, ``a`` and ``b``, each at a random pace, which the column ``pace`` tells: 0 is that of ``stride``.

    Wang, Jiao and Liu, ECCV 2020, section 3: at pace p every (p x stride)-th frame is taken; 1 to ``paces`` there, and loops.
    """

    def __init__(
        self,
        paces: Count = 4,
        frames: Count = 16,
        stride: Count = 1,
        fps: Positive | None = None,
        side: Count | None = None,
        short: ShortClip = "loop",
        size: Count | None = None,
        then: Then = None,
    ) -> None:
        super().__init__(frames, stride, fps, side, short, size, then, ("a", "b"))
        self.paces = paces

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The two clips."""
        footage = footage_of(sample.data["video"])
        pace = rng.integers(self.paces, size=2)
        starts = np.concatenate([uniform(self.room(footage, p + 1), rng) for p in pace])
        return self.made(sample, footage, starts, rng, (pace + 1).astype(np.float64), pace=[int(p) for p in pace])


@view("video")
class Evaluation(Clips):
    """``average`` clips, evenly from the video's beginning to its end, over which embeddings are averaged; nothing is random.

    The middle one for 1. Of a video that isn't longer than a clip, one. With ``crop`` the middle square is cut out, and brought to
    ``size`` pixels; float32 (3, T, size, size).
    """

    def __init__(
        self,
        average: Count = 10,
        frames: Count = 16,
        stride: Count = 2,
        fps: Positive | None = None,
        size: Count = 112,
        short: ShortClip = "loop",
    ) -> None:
        short = "loop" if short == "skip" else short  # what can be seen is evaluated
        super().__init__(frames, stride, fps, size, short, None, None, [f"clip_{i}" for i in range(average)])
        self.size = size

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """The clips."""
        from contrapose_video.frames import central

        footage = footage_of(sample.data["video"])
        room = self.room(footage) - footage.interval  # the last clip begins with its first frame, not as that one ends
        starts = spread(max(room, 0.0), len(self.view_names) if room > 1e-6 else 1)
        views = self.made(sample, footage, starts, rng)
        return [View(v.name, "video", central(v.data, self.size), v.meta) for v in views]


def _each(then: Then, names: Sequence[str], size: int | None) -> dict[str, ViewGenerator]:
    """The generator that each clip meets."""
    if then is None:
        return {}
    if isinstance(then, Mapping) and "use" not in then:
        if set(then) != set(names):
            raise ConfigError(f"expected a view for each of {', '.join(names)}, got {', '.join(then)}", ("then",))
        return {name: _one(node, ("then", name), size) for name, node in then.items()}
    return dict.fromkeys(names, _one(then, ("then",), size))


def _one(node: Node, path: Way, size: int | None) -> ViewGenerator:
    told = {} if size is None else {"size": size}
    if isinstance(node, list | tuple):
        generator: ViewGenerator = Compose(
            [build("view", n, (*path, i), modality="video", **told) for i, n in enumerate(node)]
        )
    else:
        generator = build("view", node, path, modality="video", **told)
    if generator.modality != "video":
        raise ConfigError(f"{generator!r} reads {generator.modality}, not clips: wrap it in video/frames", path)
    return generator
