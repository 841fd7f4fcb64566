"""Methods of videos and what is said or heard with them: they take arguments, and return a method as data."""

from __future__ import annotations

from typing import Any

from contrapose.methods.arch import clip, pair_graph
from contrapose_video.arguments import Count, Positive

Data = dict[str, Any]


def video_clip(text: str = "text", tau: Positive = 0.07, out: Count = 512) -> Data:
    """CLIP's loss between a video and its text (CLIP4Clip, Luo et al. 2021): linear projections, a learnt temperature.

    Several clips of a video are several views of it, all positives of its text.

    Args:
        text: the other modality.
        tau: temperature at the beginning.
        out: width of the shared space.
    """
    return clip(["video", text], tau, out)


def video_audio(
    audio: str = "audio",
    near: Positive | None = None,
    shifted: bool = False,
    tau: Positive = 0.07,
    hidden: Count = 512,
    out: Count = 256,
) -> Data:
    """A clip and its sound find each other among those of the batch, both ways (GDT, Patrick et al. 2021: its cross-modal loss).

    ``near`` compares the ``time`` of a clip and of a sound, so both modalities' views must tell it, by one clock. A clip and a
    sound of one video that are farther apart are then no positives; nor are they negatives, unless ``shifted``, which is GDT's
    learning to tell a shift in time, and AVTS's hard negatives (Korbar et al. 2018). (In the authors' code keys get no gradient.)

    Args:
        audio: the other modality.
        near: how many seconds apart a clip and a sound of one video may be to be positives; by default any.
        shifted: whether those that are farther apart are negatives.
        tau: temperature.
        hidden: width of the projectors' hidden layers.
        out: width of the shared space.
    """
    data = pair_graph([["video", audio]], tau=tau, hidden=hidden, out=out)
    if near is not None:
        (term,) = data["terms"].values()
        term["positives"] = f"near(time, {float(near)}) and {term['positives']}"
        if not shifted:
            term["denominator"] = f"(positive or not same(sample)) and {term['denominator']}"
    return data
