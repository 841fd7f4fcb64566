"""PointNet++ (Qi et al., NeurIPS 2017, arXiv:1706.02413) in pure torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from contrapose_pointcloud.layers import Channels, Count, Length, Width, columns, point_layers, scaled
from contrapose_pointcloud.ops import ball, group, interpolate
from contrapose_pointcloud.sampling import farthest, outermost


class PointNet2(nn.Module):
    """PointNet++ with single-scale grouping, the classification trunk (supplementary B.1, "SSG", without its last layers).

    SA(512, 0.2, [64, 64, 128]), SA(128, 0.4, [128, 128, 256]), SA([256, 512, ``emb``]), whose maximum over all is ``pooled``; where
    asked for, ``dense`` by the part segmentation's FP(256, 256), FP(256, 128), FP(128, 128, 128) back to the points. The second
    level has a quarter of the first's points, twice its radius and twice its neighbours, as there.

    Sampling starts at the point farthest from the mean, and a ball that is too full keeps the nearest, so that the points' order
    doesn't matter; the authors' code takes the first in memory. A cloud of fewer points than ``points`` keeps them all.

    Args:
        points: centres of the first level; 512 in the paper, for 1024 points.
        radius: of the first level's balls, in the clouds' unit; 0.2 in the paper, for clouds in the unit sphere.
        k: the most points of a ball in the first level; 32 in the authors' code.
        emb: width of ``pooled``; 1024 in the paper.
        width: factor on the other layers' widths.
        channels: columns of the input that are read, 3 for the coordinates alone.
        dense: whether to give ``dense`` too; ``pooled`` alone leaves its layers without gradient.
    """

    modality = "pointcloud"

    def __init__(
        self,
        points: Count = 512,
        radius: Length = 0.2,
        k: Count = 32,
        emb: Count = 1024,
        width: Width = 1.0,
        channels: Channels = 3,
        dense: bool = False,
    ) -> None:
        super().__init__()
        self.points, self.channels = points, channels
        c64, c128, c256, c512 = (scaled(c, width) for c in (64, 128, 256, 512))
        self.first = SetAbstraction((channels, c64, c64, c128), radius, k)
        self.second = SetAbstraction((3 + c128, c128, c128, c256), 2 * radius, 2 * k)
        self.last = point_layers(3 + c256, c256, c512, emb)
        self.dims: Mapping[str, int] = {"pooled": emb} | ({"dense": c128} if dense else {})
        self.up = nn.ModuleList()
        if dense:
            sizes = (emb + c256, c256, c256), (c256 + c128, c256, c128), (c128 + channels, c128, c128, c128)
            self.up.extend(point_layers(*s) for s in sizes)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, P, channels or more) to ``pooled`` (n, emb) and, where asked for, ``dense`` (n, P, 128 width)."""
        data = columns(data, self.channels)
        places, features = data[..., :3], data[..., 3:]
        chosen = farthest(places, min(self.points, places.shape[1]), outermost(places))
        near = group(places, chosen)
        far = near[:, : max(1, self.points // 4)]  # sampling the sampled again gives their beginning
        near_features = self.first(places, features, near)
        far_features = self.second(near, near_features, far)
        pooled = self.last(torch.cat([far, far_features], dim=-1)).amax(dim=1)
        taps = {"pooled": pooled}
        if self.up:
            x = pooled.unsqueeze(1).expand(-1, far.shape[1], -1)
            x = self.up[0](torch.cat([x, far_features], dim=-1))
            x = self.up[1](torch.cat([interpolate(near, far, x), near_features], dim=-1))
            taps["dense"] = self.up[2](torch.cat([interpolate(places, near, x), data], dim=-1))
        return taps


class SetAbstraction(nn.Module):
    """A PointNet on the ball around each centre (section 3.2): shared layers on [x_j - centre, features_j], then the maximum.

    Args:
        sizes: widths from 3 + C inputs to the last layer's outputs.
        radius: of the balls.
        k: the most points of a ball.
    """

    def __init__(self, sizes: tuple[int, ...], radius: float, k: int) -> None:
        super().__init__()
        self.radius, self.k = radius, k
        self.layers = point_layers(*sizes)

    def forward(self, places: Tensor, features: Tensor, centres: Tensor) -> Tensor:
        """Places (n, P, 3), features (n, P, C) and centres (n, M, 3) to (n, M, outputs)."""
        near = ball(centres, places, self.radius, self.k)
        offsets = group(places, near) - centres.unsqueeze(2)
        return self.layers(torch.cat([offsets, group(features, near)], dim=-1)).amax(dim=2)
