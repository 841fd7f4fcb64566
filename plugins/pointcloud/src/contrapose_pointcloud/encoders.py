"""Encoders of point clouds in pure torch: float (n, P, 3 + C) to ``pooled`` (n, D) and ``dense`` (n, P, E), one row a point."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from contrapose_pointcloud.edgeconv import SLOPE, EdgeConv
from contrapose_pointcloud.layers import Channels, Count, PointLayer, Width, columns, scaled


class PointNet(nn.Module):
    """PointNet (Qi et al., 2017): an MLP shared by all points, 64-64-64-128-``emb``, BatchNorm and ReLU, then the maximum.

    Without the two transform nets of the paper (worth about a point of accuracy there, and costly). ``pooled`` and ``dense``
    are ``emb`` wide.

    Args:
        emb: width of the last layer; 1024 in the paper.
        width: factor on the layers before it.
        channels: columns of the input that are read, 3 for the coordinates alone.
    """

    modality = "pointcloud"

    def __init__(self, emb: Count = 1024, width: Width = 1.0, channels: Channels = 3) -> None:
        super().__init__()
        self.channels = channels
        self.dims: Mapping[str, int] = {"pooled": emb, "dense": emb}
        sizes = [channels, *(scaled(c, width) for c in (64, 64, 64, 128)), emb]
        self.layers = nn.ModuleList(PointLayer(i, o, slope=0.0) for i, o in pairwise(sizes))

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, P, channels or more) to ``pooled`` (n, emb) and ``dense`` (n, P, emb)."""
        x = columns(data, self.channels)
        for layer in self.layers:
            x = layer(x)
        return {"pooled": x.amax(dim=1), "dense": x}


class DGCNN(nn.Module):
    """DGCNN (Wang et al., 2019), the classification trunk that CrossPoint trains (``models/dgcnn.py`` of its repository).

    Four EdgeConvs (64-64-128-256) whose graphs are the k nearest points in their own input, all four outputs joined to a
    layer of ``emb``; ``pooled`` is its maximum ⊕ mean over the points (2 ``emb``), ``dense`` (``emb``) each point's.

    Args:
        k: neighbours; 20 in the paper and by CrossPoint's default, 15 in CrossPoint's script.
        emb: width of the last layer; 1024 in the paper.
        width: factor on the EdgeConvs' widths; 0.25 with ``emb`` 256 suits a CPU.
        channels: columns of the input that are read, 3 for the coordinates alone.
    """

    modality = "pointcloud"

    def __init__(self, k: Count = 20, emb: Count = 1024, width: Width = 1.0, channels: Channels = 3) -> None:
        super().__init__()
        self.channels = channels
        self.dims: Mapping[str, int] = {"pooled": 2 * emb, "dense": emb}
        sizes = [channels, *(scaled(c, width) for c in (64, 64, 128, 256))]
        self.edges = nn.ModuleList(EdgeConv(i, o, k) for i, o in pairwise(sizes))
        self.join = PointLayer(sum(sizes[1:]), emb, SLOPE)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        """(n, P, channels or more) to ``pooled`` (n, 2 emb) and ``dense`` (n, P, emb)."""
        x, outputs = columns(data, self.channels), []
        for edge in self.edges:
            x = edge(x)
            outputs.append(x)
        dense = self.join(torch.cat(outputs, dim=-1))
        return {"pooled": torch.cat([dense.amax(dim=1), dense.mean(dim=1)], dim=-1), "dense": dense}
