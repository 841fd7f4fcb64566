"""Which frames of a sequence are hidden from what is to predict them."""

from __future__ import annotations

import torch
from torch import Tensor

from contrapose.errors import ConfigError


def spans(rows: int, frames: int, rate: float, length: int, device: torch.device | str = "cpu") -> Tensor:
    """Frames that are masked, (rows, M) int64, ascending in each row: spans of ``length`` that may overlap.

    wav2vec 2.0 (Baevski et al. 2020, section 3.1): a share ``rate`` of all frames, rounded at random, are drawn without
    replacement to begin a span; one of 0.065 and spans of 10 mask about 49 % of 15 seconds. As in fairseq's
    ``compute_mask_indices`` with ``require_same_masks``, all rows have as many as the row with the fewest: surplus frames of
    the others, drawn at random, aren't masked. At least one span is drawn. Draws from torch's default generator of the device.

    Raises:
        ConfigError: the sequence is shorter than a span.
    """
    places = frames - length + 1
    if places < 1:
        raise ConfigError(f"spans of {length} frames don't fit into {frames}: give longer clips, or set span lower")
    count = min(max(1, int(rate * frames + float(torch.rand(())))), places)
    begin = torch.rand(rows, places, device=device).argsort(dim=1)[:, :count]
    covered = (begin[:, :, None] + torch.arange(length, device=device)).flatten(1)
    masked = torch.zeros(rows, frames, dtype=torch.bool, device=device).scatter_(1, covered, True)
    fewest = int(masked.sum(dim=1).min()) if rows else 0
    drawn = torch.rand(rows, frames, device=device).masked_fill_(~masked, -1.0)
    return drawn.topk(fewest, dim=1).indices.sort(dim=1)[0]
