"""Two networks that see the same moments in two ways, as colours and as motion, and teach each other."""

from __future__ import annotations

from typing import Any, Literal

from contrapose.methods.mined import coclr
from contrapose_video.arguments import Count, Positive

STREAMS, SLOTS = ("rgb", "flow"), ("query", "key")
NAMES = tuple(f"{stream}_{slot}" for stream in STREAMS for slot in SLOTS)


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
