"""Point Transformer (Zhao et al., ICCV 2021, arXiv:2012.09164) in pure torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from contrapose_pointcloud.layers import Channels, Count, PointLayer, Width, columns, scaled
from contrapose_pointcloud.ops import group, interpolate, nearest
from contrapose_pointcloud.sampling import farthest, outermost

_WIDTHS = (32, 64, 128, 256, 512)
_RATE = 4


class PointTransformer(nn.Module):
    """Point Transformer: five stages 32-64-128-256-512 wide, each with a quarter of the points of the one before, a block a stage.

    ``pooled`` is the mean over the last stage's points (section 3.5). Where asked for, ``dense`` comes by transitions up, a block
    after each. The paper doesn't say how many blocks a stage has, nor where the blocks' BatchNorms are: one here, and
    placed as in the authors' code for segmentation (which has up to six). Vector attention is the paper's own, whose
    code shares its weights among groups of channels.

    Sampling starts at the point farthest from the mean, so that the points' order doesn't matter. A cloud of less than 512 points
    has but one in the last stage, where attention then has nothing to weigh.

    Args:
        k: neighbours; 16 in the paper.
        width: factor on the stages' widths; 0.5 suits a CPU.
        channels: columns of the input that are read, 3 for the coordinates alone.
        dense: whether to give ``dense`` too; ``pooled`` alone leaves its layers without gradient.
    """

    modality = "pointcloud"

    def __init__(self, k: Count = 16, width: Width = 1.0, channels: Channels = 3, dense: bool = False) -> None:
        super().__init__()
        self.k, self.channels = k, channels
        widths = [scaled(w, width) for w in _WIDTHS]
        self.dims: Mapping[str, int] = {"pooled": widths[-1]} | ({"dense": widths[0]} if dense else {})
        self.down = nn.ModuleList(PointLayer(i, o) for i, o in pairwise([channels, *widths]))
        self.blocks = nn.ModuleList(Block(w) for w in widths)
        self.up = nn.ModuleList(TransitionUp(o, i) for i, o in pairwise(widths) if dense)
        self.up_blocks = nn.ModuleList(Block(w) for w in widths[:-1] if dense)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, P, channels or more) to ``pooled`` (n, 512 width) and, where asked for, ``dense`` (n, P, 32 width)."""
        x = columns(data, self.channels)
        places, size = x[..., :3], x.shape[1]
        # Sampling the sampled points again gives their beginning, so one run of it serves all stages.
        sampled = group(places, farthest(places, max(1, size // _RATE), outermost(places)))
        levels: list[tuple[Tensor, Tensor, Tensor]] = []  # places, neighbours and features of each stage
        for stage, (down, block) in enumerate(zip(self.down, self.blocks, strict=True)):
            x = down(x)
            if stage:  # a transition down: the maximum over the neighbours of each point that stays (section 3.4)
                fine, places = places, sampled[:, : max(1, size // _RATE**stage)]
                x = group(x, nearest(places, fine, self.k)[0]).amax(dim=2)
            near = nearest(places, places, self.k)[0]
            x = block(places, near, x)
            levels.append((places, near, x))
        taps = {"pooled": x.mean(dim=1)}
        if self.up:
            levels.pop()
            for up, block in zip(reversed(self.up), reversed(self.up_blocks), strict=True):
                fine, near, skip = levels.pop()
                x, places = block(fine, near, up(fine, skip, places, x)), fine
            taps["dense"] = x
        return taps


class VectorAttention(nn.Module):
    """y_i = Σ_j softmax_j(γ(φ(x_i) - ψ(x_j) + δ_ij)) ⊙ (α(x_j) + δ_ij), where δ_ij = θ(p_i - p_j) (equations 3 and 4).

    The weights are vectors, one softmax over the neighbours a channel. γ and θ are two linear layers with a ReLU between.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.position = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width))
        last = nn.Linear(width, width, bias=False)  # the softmax doesn't see a bias
        self.weigh = nn.Sequential(nn.Linear(width, width), nn.ReLU(), last)

    def forward(self, places: Tensor, near: Tensor, x: Tensor) -> Tensor:
        """Places (n, P, 3), neighbours (n, P, k) and features (n, P, C) to (n, P, C)."""
        position = self.position(places.unsqueeze(2) - group(places, near))
        logits = self.weigh(self.query(x).unsqueeze(2) - group(self.key(x), near) + position)
        return (F.softmax(logits, dim=2) * (group(self.value(x), near) + position)).sum(dim=2)


class Block(nn.Module):
    """Linear, vector attention, linear, and the input added (figure 4a), with BatchNorm and ReLU as in the authors' code."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = PointLayer(width, width)
        self.attention = VectorAttention(width)
        self.norm = nn.BatchNorm1d(width)
        self.after = PointLayer(width, width, slope=1.0)

    def forward(self, places: Tensor, near: Tensor, x: Tensor) -> Tensor:
        """Places (n, P, 3), neighbours (n, P, k) and features (n, P, C) to (n, P, C)."""
        y = self.attention(places, near, self.before(x))
        y = F.relu(self.norm(y.flatten(0, 1)).unflatten(0, y.shape[:2]))
        return F.relu(x + self.after(y))


class TransitionUp(nn.Module):
    """The coarse features, interpolated at the finer points, and the finer ones, each after a layer, added (figure 4c)."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.coarse, self.fine = PointLayer(coarse, fine), PointLayer(fine, fine)

    def forward(self, places: Tensor, x: Tensor, coarse_places: Tensor, coarse: Tensor) -> Tensor:
        """Places (n, P, 3) and features (n, P, fine) with the coarse ones (n, M, 3) and (n, M, coarse) to (n, P, fine)."""
        return self.fine(x) + interpolate(places, coarse_places, self.coarse(coarse))
