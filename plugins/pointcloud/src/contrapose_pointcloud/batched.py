"""The steps on a whole batch, on its device: what each cloud gets is drawn first, then applied to all at once.

Every step takes float (n, N, 3 + C) and returns float32; it is of the distribution of its namesake in
`contrapose_pointcloud.views`, whose ``batched`` form it is. Draws come from a ``torch.Generator`` of the clouds' device. Nothing
waits for that device, and nothing loops over clouds.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrapose_pointcloud.arguments import Axis, Count, NotNegative, Positive, Share


def unit_sphere(clouds: Tensor, generator: torch.Generator) -> Tensor:
    """`views.unit_sphere` of each cloud. The mean is taken in float64: far from the origin float32 has few digits to spare."""
    xyz = clouds[..., :3].double()
    xyz = xyz - xyz.mean(dim=1, keepdim=True)
    farthest = xyz.square().sum(dim=-1, keepdim=True).sqrt().amax(dim=1, keepdim=True)
    return _with_xyz(clouds, xyz / farthest.clamp(min=1e-12))


def scale(clouds: Tensor, generator: torch.Generator, low: Positive = 0.5, high: Positive = 2.0) -> Tensor:
    """`views.scale` of each cloud."""
    return _with_xyz(clouds, clouds[..., :3] * (low + (high - low) * _uniform(generator, len(clouds), 1, 1)))


def rotate(
    clouds: Tensor, generator: torch.Generator, axis: Axis = "y", degrees: NotNegative = 360.0, normals: bool = False
) -> Tensor:
    """`views.rotate` of each cloud."""
    n, device = len(clouds), generator.device
    angles = math.radians(degrees) * _uniform(generator, n, 1, 1)
    if axis == "any":
        u = F.normalize(torch.randn(n, 3, generator=generator, device=device), dim=1)
    else:
        u = torch.tensor([float(a == axis) for a in "xyz"], device=device).expand(n, 3)
    x, y, z = u.unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(n, 3, 3)
    turn = torch.eye(3, device=device) + angles.sin() * cross + (1 - angles.cos()) * cross @ cross  # Rodrigues' formula
    made = _with_xyz(clouds, clouds[..., :3].float() @ turn.mT)
    if normals:
        made[..., 3:6] = clouds[..., 3:6].float() @ turn.mT
    return made


def perturb(
    clouds: Tensor,
    generator: torch.Generator,
    sigma: NotNegative = 0.06,
    clip: NotNegative = 0.18,
    normals: bool = False,
) -> Tensor:
    """`ulip.perturb` of each cloud."""
    angles = sigma * torch.randn(len(clouds), 3, generator=generator, device=generator.device)
    angles = angles.clamp(-clip, clip)
    vectors = [clouds[..., at : at + 3].float() for at in ((0, 3) if normals else (0,))]
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        sine, cosine = angles[:, axis, None].sin(), angles[:, axis, None].cos()
        for number, vector in enumerate(vectors):
            parts = [*vector.unbind(-1)]
            parts[i], parts[j] = cosine * parts[i] - sine * parts[j], sine * parts[i] + cosine * parts[j]
            vectors[number] = torch.stack(parts, dim=-1)
    return torch.cat([*vectors, clouds[..., 3 * len(vectors) :].float()], dim=-1)


def shift(clouds: Tensor, generator: torch.Generator, most: NotNegative = 0.1) -> Tensor:
    """`ulip.shift` of each cloud."""
    return _with_xyz(clouds, clouds[..., :3] + most * (2 * _uniform(generator, len(clouds), 1, 3) - 1))


def translate(clouds: Tensor, generator: torch.Generator, share: NotNegative = 0.5) -> Tensor:
    """`views.translate` of each cloud."""
    xyz = clouds[..., :3]
    extent = xyz.amax(dim=1, keepdim=True) - xyz.amin(dim=1, keepdim=True)
    return _with_xyz(clouds, xyz + share * (2 * _uniform(generator, len(clouds), 1, 3) - 1) * extent)


def jitter(clouds: Tensor, generator: torch.Generator, sigma: NotNegative = 0.01, clip: NotNegative = 0.05) -> Tensor:
    """`views.jitter` of each cloud."""
    noise = torch.randn(*clouds.shape[:2], 3, generator=generator, device=generator.device)
    return _with_xyz(clouds, clouds[..., :3] + (sigma * noise).clamp(-clip, clip))


def dropout(clouds: Tensor, generator: torch.Generator, most: Share = 0.875) -> Tensor:
    """`views.dropout` of each cloud."""
    n, points = clouds.shape[:2]
    dropped = _uniform(generator, n, points, 1) <= most * _uniform(generator, n, 1, 1)
    return torch.where(dropped, clouds[:, :1], clouds).float()


def resample(clouds: Tensor, generator: torch.Generator, points: Count = 1024) -> Tensor:
    """`views.resample` of each cloud."""
    n, have = clouds.shape[:2]
    if have == points:
        return clouds.float()
    if have > points:
        drawn = _uniform(generator, n, have)
        return _take(clouds, drawn.topk(points, dim=1, largest=False)[1])  # some times faster than to sort them all
    again = torch.randint(have, (n, points - have), generator=generator, device=generator.device)
    return torch.cat([clouds, _take(clouds, again)], dim=1).float()


def evaluation(clouds: Tensor, generator: torch.Generator, points: Count = 1024) -> Tensor:
    """`views.evaluation` of each cloud."""
    chosen = torch.as_tensor(np.linspace(0, clouds.shape[1] - 1, points).round().astype(int), device=clouds.device)
    return unit_sphere(clouds[:, chosen], generator)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, device=generator.device)


def _take(clouds: Tensor, chosen: Tensor) -> Tensor:
    """Those points of each cloud, (n, M, 3 + C), that ``chosen`` (n, M) lists for it."""
    return clouds.gather(1, chosen[..., None].expand(-1, -1, clouds.shape[2])).float()


def _with_xyz(clouds: Tensor, xyz: Tensor) -> Tensor:
    return torch.cat([xyz.float(), clouds[..., 3:].float()], dim=-1)
