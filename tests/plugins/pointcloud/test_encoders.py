from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrapose import build
from contrapose.errors import DataError
from contrapose.types import Encoder
from contrapose_pointcloud.edgeconv import EdgeConv
from contrapose_pointcloud.encoders import DGCNN
from contrapose_pointcloud.ops import knn, smallest

SMALL: list[dict[str, Any]] = [
    {"use": "pointcloud/pointnet", "width": 0.25, "emb": 32},
    {"use": "pointcloud/dgcnn", "k": 5, "width": 0.25, "emb": 32},
    {"use": "pointcloud/pointnet2", "points": 32, "radius": 0.3, "k": 8, "width": 0.25, "emb": 32, "dense": True},
    {"use": "pointcloud/point-transformer", "k": 8, "width": 0.25, "dense": True},
]
IDS = ["pointnet", "dgcnn", "pointnet2", "point-transformer"]


@pytest.mark.parametrize("size", [7, 64, 96, 256, 1024])
def test_knn_equals_brute_force(size: int) -> None:
    rng = np.random.default_rng(size)
    x = rng.normal(size=(2, size, 5)) + 3
    found = knn(torch.from_numpy(x).float(), 6).numpy()
    distances = np.sqrt(((x[:, :, None] - x[:, None]) ** 2).sum(-1))
    expected = np.sort(distances, axis=-1)[..., :6]
    made = np.sort(np.take_along_axis(distances, found, axis=-1), axis=-1)
    np.testing.assert_allclose(made, expected, atol=1e-5)
    assert all(len(set(row)) == 6 for row in found.reshape(-1, 6))


def test_knn_of_fewer_points_takes_all_and_stays_exact_far_from_the_origin() -> None:
    assert knn(torch.rand(2, 3, 3), 20).sort(dim=-1)[0].tolist() == [[[0, 1, 2]] * 3] * 2
    x = torch.rand(1, 128, 3, dtype=torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        far = knn((x + 100).float(), 4)
    assert (far.sort(dim=-1)[0] == knn(x, 4).sort(dim=-1)[0]).float().mean() > 0.97


@pytest.mark.parametrize("k", [1, 3, 16])
def test_smallest_in_groups_equals_topk_with_ties(k: int) -> None:
    torch.manual_seed(k)
    values = torch.randint(0, 40, (5, 64, 256)).float()
    found = smallest(values, k)
    assert torch.equal(values.gather(-1, found).sort(dim=-1)[0], values.sort(dim=-1)[0][..., :k])
    assert (found.sort(dim=-1)[0].diff(dim=-1) > 0).all()


def naive_edgeconv(layer: EdgeConv, x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """The paper's formula, on every edge."""
    near = knn(x, layer.k)
    rows = torch.arange(len(x))[:, None, None]
    neighbours = x[rows, near]
    centre = x[:, :, None].expand_as(neighbours)
    edges = layer.linear(torch.cat([neighbours - centre, centre], dim=-1))
    edges = norm(edges.flatten(0, 2)).view(edges.shape)
    return F.leaky_relu(edges, 0.2).amax(dim=2)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_edgeconv_equals_the_naive_formula(training: bool, offset: float) -> None:
    """Values, gradients of input and parameters, and running statistics, in float64; factors of both signs."""
    torch.manual_seed(0)
    layer = EdgeConv(6, 16, k=7).double().train(training)
    with torch.no_grad():
        layer.norm.weight.normal_()
        layer.norm.bias.normal_()
        layer.norm.running_mean.normal_()
        layer.norm.running_var.uniform_(0.5, 2)
    norm = copy.deepcopy(layer.norm)
    x = torch.randn(3, 128, 6, dtype=torch.float64) + offset
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    made, expected = layer(ours), naive_edgeconv(layer, theirs, norm)
    torch.testing.assert_close(made, expected, rtol=1e-9, atol=1e-9)
    weights = torch.randn_like(made)
    grads = torch.autograd.grad((made * weights).sum(), [ours, layer.linear.weight, layer.norm.weight, layer.norm.bias])
    reference = torch.autograd.grad((expected * weights).sum(), [theirs, layer.linear.weight, norm.weight, norm.bias])
    for a, b in zip(grads, reference, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(layer.norm.running_mean, norm.running_mean)
    torch.testing.assert_close(layer.norm.running_var, norm.running_var)
    assert layer.norm.num_batches_tracked == norm.num_batches_tracked


def test_edgeconv_in_float32_is_as_exact_as_the_naive_formula() -> None:
    torch.manual_seed(0)
    layer = EdgeConv(3, 32, k=8)
    x = torch.rand(4, 256, 3) + 5
    exact = naive_edgeconv(copy.deepcopy(layer).double(), x.double(), copy.deepcopy(layer.norm).double())
    naive = naive_edgeconv(layer, x, copy.deepcopy(layer.norm))
    assert (layer(x) - exact).abs().max() < 4 * (naive - exact).abs().max() + 1e-5


def test_dgcnn_has_the_papers_layers() -> None:
    encoder = DGCNN()
    assert [(e.linear.in_features, e.linear.out_features) for e in encoder.edges] == [
        (6, 64),
        (128, 64),
        (128, 128),
        (256, 256),
    ]  # type: ignore[union-attr]
    assert (encoder.join.linear.in_features, encoder.join.linear.out_features) == (512, 1024)
    assert encoder.dims == {"pooled": 2048, "dense": 1024}
    assert (
        sum(p.numel() for p in encoder.parameters())
        == 6 * 64 + 128 * 64 + 128 * 128 + 256 * 256 + 512 * 1024 + 2 * 1536
    )


@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_taps_have_the_declared_dims_also_for_no_rows_and_one(node: dict[str, Any]) -> None:
    encoder = pickle.loads(pickle.dumps(build("encoder", node))).eval()
    assert isinstance(encoder, Encoder)
    for rows in (0, 1, 3):
        taps = encoder(torch.rand(rows, 64, 3))
        assert taps["pooled"].shape == (rows, encoder.dims["pooled"])
        assert taps["dense"].shape == (rows, 64, encoder.dims["dense"])


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_a_gradient_reaches_every_parameter(node: dict[str, Any], dense: bool) -> None:
    """Of ``pooled`` alone, and of ``dense`` beside it where it has layers of its own."""
    torch.manual_seed(0)
    encoder = build("encoder", node if dense else {key: value for key, value in node.items() if key != "dense"})
    taps = encoder(torch.rand(2, 1024, 3))
    sum(tap.square().sum() for tap in (taps.values() if dense else [taps["pooled"]])).backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_no_rows_in_training_leave_the_statistics_alone(node: dict[str, Any]) -> None:
    encoder = build("encoder", node).train()
    before = copy.deepcopy(encoder.state_dict())
    sum(tap.sum() for tap in encoder(torch.zeros(0, 64, 3)).values()).backward()
    assert all(p.grad is not None for p in encoder.parameters())
    for name, value in encoder.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_order_of_points_does_not_matter(node: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = build("encoder", node).eval()
    x, order = torch.rand(2, 64, 3), torch.randperm(64)
    taps, turned = encoder(x), encoder(x[:, order])
    torch.testing.assert_close(turned["pooled"], taps["pooled"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(turned["dense"], taps["dense"][:, order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_repeated_points_are_harmless(node: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = build("encoder", node)
    x = torch.rand(2, 64, 3)
    x[:, 8:] = x[:, :1]  # input dropout at its worst
    taps = encoder(x)
    sum(tap.sum() for tap in taps.values()).backward()
    assert all(tap.isfinite().all() for tap in taps.values())
    assert all(p.grad.isfinite().all() for p in encoder.parameters())
    encoder.eval()
    dense = encoder(x)["dense"]
    torch.testing.assert_close(dense[:, 8:], dense[:, :1].expand(-1, 56, -1), rtol=1e-4, atol=1e-5)


def test_pointnet_ignores_repeats() -> None:
    encoder = build("encoder", SMALL[0]).eval()
    x = torch.rand(2, 32, 3)
    torch.testing.assert_close(encoder(torch.cat([x, x[:, :9]], dim=1))["pooled"], encoder(x)["pooled"])


@pytest.mark.parametrize("node", SMALL, ids=IDS)
def test_bf16_autocast_stays_finite_and_near(node: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = build("encoder", node).eval()
    x = torch.rand(2, 64, 3)
    exact = encoder(x)["pooled"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = encoder(x)["pooled"].float()
    assert F.cosine_similarity(made, exact).min() > 0.98


def test_features_are_read_when_asked_for() -> None:
    encoder = build("encoder", {**SMALL[1], "channels": 5}).eval()
    x = torch.rand(1, 64, 5)
    changed = x.clone()
    changed[..., 4] += 1
    assert not torch.equal(encoder(x)["pooled"], encoder(changed)["pooled"])
    plain = build("encoder", SMALL[1]).eval()
    assert torch.equal(plain(x)["pooled"], plain(changed)["pooled"])
    with pytest.raises(DataError, match="reads 5 columns of each point, but the clouds have 3"):
        encoder(torch.rand(1, 64, 3))


def test_synced_batchnorm_sees_the_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = EdgeConv(3, 8, k=4).eval()
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(layer)).eval()
    x = torch.rand(2, 32, 3)
    torch.testing.assert_close(synced(x), layer(x))
