"""PointNet++ and Point Transformer against their papers' formulas, written point by point."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from contrapose_pointcloud.pointnet2 import PointNet2, SetAbstraction
from contrapose_pointcloud.transformer import Block, PointTransformer, VectorAttention


def test_pointnet2_has_the_papers_layers() -> None:
    encoder = PointNet2(dense=True)
    widths = [
        [(layer.linear.in_features, layer.linear.out_features) for layer in layers]
        for layers in (encoder.first.layers, encoder.second.layers, encoder.last, *encoder.up)
    ]
    assert widths == [
        [(3, 64), (64, 64), (64, 128)],
        [(131, 128), (128, 128), (128, 256)],
        [(259, 256), (256, 512), (512, 1024)],
        [(1280, 256), (256, 256)],
        [(384, 256), (256, 128)],
        [(131, 128), (128, 128), (128, 128)],
    ]
    assert [(level.radius, level.k) for level in (encoder.first, encoder.second)] == [(0.2, 32), (0.4, 64)]
    assert encoder.dims == {"pooled": 1024, "dense": 128}
    assert PointNet2().dims == {"pooled": 1024}


def test_set_abstraction_equals_the_naive_formula() -> None:
    """Ball by ball, in float64, with fewer points in most balls than k."""
    torch.manual_seed(0)
    layer = SetAbstraction((3 + 4, 8, 16), radius=0.3, k=64).double().eval()
    places, features = torch.rand(2, 64, 3, dtype=torch.float64), torch.randn(2, 64, 4, dtype=torch.float64)
    made = layer(places, features, places[:, :5])
    for row in range(2):
        for i, centre in enumerate(places[row, :5]):
            within = (places[row] - centre).norm(dim=1) <= 0.3
            inputs = torch.cat([places[row] - centre, features[row]], dim=1)[within]
            torch.testing.assert_close(made[row, i], layer.layers(inputs).amax(dim=0))


def test_a_ball_is_seen_from_its_centre() -> None:
    torch.manual_seed(0)
    layer = SetAbstraction((3, 8), radius=0.3, k=8).double().eval()
    x = torch.rand(1, 64, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x + 5, x[..., 3:], x + 5), layer(x, x[..., 3:], x))


def test_point_transformer_has_the_papers_stages() -> None:
    encoder = PointTransformer(dense=True)
    assert [block.norm.num_features for block in encoder.blocks] == [32, 64, 128, 256, 512]
    assert [block.norm.num_features for block in encoder.up_blocks] == [32, 64, 128, 256]
    assert encoder.dims == {"pooled": 512, "dense": 32}
    assert PointTransformer().dims == {"pooled": 512}


def naive_point_transformer(encoder: PointTransformer, x: Tensor) -> dict[str, Tensor]:
    """The paper's way through one cloud (P, 3), each stage sampled and searched anew, by ``encoder``'s own layers."""

    def block(layer: Block, places: Tensor, x: Tensor) -> Tensor:
        near = torch.cdist(places, places).topk(min(encoder.k, len(places)), largest=False)[1]
        y = F.relu(layer.norm(layer.attention(places[None], near[None], layer.before(x)[None])[0]))
        return F.relu(x + layer.after.norm(layer.after.linear(y)))

    places, start, stages = x, int((x - x.mean(dim=0)).norm(dim=1).argmax()), []
    for i, (down, layer) in enumerate(zip(encoder.down, encoder.blocks, strict=True)):
        x = down(x)
        if i:
            kept = [start]
            while len(kept) < len(places) // 4:
                kept.append(int(torch.cdist(places, places[kept]).amin(dim=1).argmax()))
            near = torch.cdist(places[kept], places).topk(min(encoder.k, len(places)), largest=False)[1]
            places, x, start = places[kept], x[near].amax(dim=1), 0
        x = block(layer, places, x)
        stages.append((places, x))
    pooled, (places, x) = x.mean(dim=0), stages.pop()
    for up, layer in zip(reversed(encoder.up), reversed(encoder.up_blocks), strict=True):
        fine, skip = stages.pop()
        distances, near = torch.cdist(fine, places).topk(min(3, len(places)), largest=False)
        weights = 1 / distances.square().clamp_min(1e-10)
        coarse = (up.coarse(x)[near] * (weights / weights.sum(dim=1, keepdim=True))[..., None]).sum(dim=1)
        places, x = fine, block(layer, fine, up.fine(skip) + coarse)
    return {"pooled": pooled, "dense": x}


def test_point_transformer_equals_the_naive_way() -> None:
    """In float64; 600 points leave 600, 150, 37, 9 and 2."""
    torch.manual_seed(0)
    encoder = PointTransformer(k=6, width=0.25, dense=True).double().eval()
    x = torch.rand(2, 600, 3, dtype=torch.float64)
    taps = encoder(x)
    for row, cloud in enumerate(x):
        for name, expected in naive_point_transformer(encoder, cloud).items():
            torch.testing.assert_close(taps[name][row], expected)


def naive_pointnet2(encoder: PointNet2, x: Tensor) -> dict[str, Tensor]:
    """PointNet++'s way through one cloud (P, 3), each level sampled anew, by ``encoder``'s own layers."""

    def abstract(level: SetAbstraction, places: Tensor, features: Tensor, centre: Tensor) -> Tensor:
        near = torch.cdist(centre[None], places)[0]
        within = [int(j) for j in near.argsort()[: level.k] if near[j] <= level.radius]
        return level.layers(torch.cat([places[within] - centre, features[within]], dim=1)).amax(dim=0)

    def spread(fine: Tensor, coarse: Tensor, features: Tensor) -> Tensor:
        distances, near = torch.cdist(fine, coarse).topk(min(3, len(coarse)), largest=False)
        weights = 1 / distances.square().clamp_min(1e-10)
        return (features[near] * (weights / weights.sum(dim=1, keepdim=True))[..., None]).sum(dim=1)

    levels, start = [(x, x[:, 3:])], int((x - x.mean(dim=0)).norm(dim=1).argmax())
    for level, count in ((encoder.first, encoder.points), (encoder.second, encoder.points // 4)):
        places, features = levels[-1]
        kept = [start]
        while len(kept) < count:
            kept.append(int(torch.cdist(places, places[kept]).amin(dim=1).argmax()))
        centres, start = places[kept], 0
        levels.append((centres, torch.stack([abstract(level, places, features, c) for c in centres])))
    (_, _), (near, near_features), (far, far_features) = levels
    pooled = encoder.last(torch.cat([far, far_features], dim=1)).amax(dim=0)
    dense = encoder.up[0](torch.cat([pooled.expand(len(far), -1), far_features], dim=1))
    dense = encoder.up[1](torch.cat([spread(near, far, dense), near_features], dim=1))
    return {"pooled": pooled, "dense": encoder.up[2](torch.cat([spread(x, near, dense), x], dim=1))}


def test_pointnet2_equals_the_naive_way() -> None:
    torch.manual_seed(0)
    encoder = PointNet2(points=32, radius=0.2, k=8, emb=32, width=0.25, dense=True).double().eval()
    x = torch.rand(2, 200, 3, dtype=torch.float64)
    taps = encoder(x)
    for row, cloud in enumerate(x):
        for name, expected in naive_pointnet2(encoder, cloud).items():
            torch.testing.assert_close(taps[name][row], expected)


def test_vector_attention_equals_the_papers_equation() -> None:
    """Equation 3, point by point and neighbour by neighbour, values and gradients in float64."""
    torch.manual_seed(0)
    layer = VectorAttention(6).double()
    places = torch.rand(2, 9, 3, dtype=torch.float64)
    x = torch.randn(2, 9, 6, dtype=torch.float64, requires_grad=True)
    near = torch.stack([torch.stack([torch.randperm(9)[:4] for _ in range(9)]) for _ in range(2)])
    expected = []
    for row in range(2):
        for i in range(9):
            logits, values = [], []
            for j in near[row, i]:
                delta = layer.position(places[row, i] - places[row, j])
                logits.append(layer.weigh(layer.query(x[row, i]) - layer.key(x[row, j]) + delta))
                values.append(layer.value(x[row, j]) + delta)
            expected.append((torch.stack(logits).softmax(dim=0) * torch.stack(values)).sum(dim=0))
    naive, made = torch.stack(expected).view(2, 9, 6), layer(places, near, x)
    torch.testing.assert_close(made, naive)
    weights, leaves = torch.randn_like(made), [x, *layer.parameters()]
    for a, b in zip(*(torch.autograd.grad((y * weights).sum(), leaves) for y in (made, naive)), strict=True):
        torch.testing.assert_close(a, b)
