"""ULIP: what each step is, the recipe by the authors' formulas, their loss, and towers that stand still."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from contrapose import Method
from contrapose.plugins import registry
from contrapose.testing import assert_ddp_equivalent
from contrapose.testing.toy import outputs
from contrapose.types import Batch, ViewBatch
from contrapose_pointcloud import ulip as module
from contrapose_pointcloud.encoders import PointNet

Points = NDArray[np.float32]


def about(axis: int, angle: float) -> NDArray[np.float64]:
    """Rx, Ry, Rz of rotate_perturbation_point_cloud, written out."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array(
        [
            [[1, 0, 0], [0, c, -s], [0, s, c]],
            [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        ][axis]
    )


def test_a_small_turn_about_each_axis(cloud: Points) -> None:
    angles = []
    for seed in range(300):
        made = module.perturb(cloud, np.random.default_rng(seed))
        a = np.random.default_rng(seed).normal(0, 0.06, 3).clip(-0.18, 0.18)
        turn = about(2, a[2]) @ about(1, a[1]) @ about(0, a[0])
        np.testing.assert_allclose(made, cloud @ turn.T, atol=1e-5)
        angles.append(a)
    assert np.std(angles) == pytest.approx(0.06, rel=0.1)
    (made,) = (torch.from_numpy(cloud)[None],)
    turned = module.perturb(made, torch.Generator().manual_seed(0), sigma=10.0, clip=0.5)  # type: ignore[arg-type]
    matrix = np.linalg.lstsq(cloud, turned[0].numpy(), rcond=None)[0].T
    signs = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
    wanted = [about(2, z) @ about(1, y) @ about(0, x) for x, y, z in signs]
    assert min(np.abs(matrix - w).max() for w in wanted) < 1e-4


def test_the_view_equals_the_authors_formulas(cloud: Points) -> None:
    """ShapeNet.__getitem__ on the same draws, but for the order of the small turns' axes."""
    rng = np.random.default_rng(5)
    pc = cloud.astype(np.float64)
    pc = pc - pc.mean(axis=0)
    pc = pc / np.max(np.sqrt(np.sum(pc**2, axis=1)))
    draws = rng.random(len(pc))
    pc[draws <= rng.random() * 0.875] = pc[0]
    pc *= rng.uniform(0.8, 1.25)
    pc += rng.uniform(-0.1, 0.1, 3)
    x, y, z = rng.normal(0, 0.06, 3).clip(-0.18, 0.18)
    pc = pc @ (about(2, z) @ about(1, y) @ about(0, x)).T
    pc = pc @ about(1, rng.uniform() * 2 * np.pi).T
    made = module.ulip(cloud, np.random.default_rng(5), points=200)
    np.testing.assert_allclose(made, pc, atol=2e-6)


class Tower(nn.Module):
    """An encoder whose BatchNorm and dropout would move, were it trained."""

    def __init__(self, modality: str) -> None:
        super().__init__()
        self.modality, self.dims = modality, {"pooled": 6}
        self.net = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 6))

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.net(data)}


def method() -> Method:
    torch.manual_seed(0)
    data = registry().load("method", "ulip")
    data["branches"]["cloud"]["projector"]["out"] = 6
    towers = {m: Tower(m) for m in ("image", "text")}
    return Method.from_data(data, {"pointcloud": PointNet(emb=24, width=0.25), **towers}).double()


def batch(seed: int, n: int = 5, missing: tuple[int, ...] = ()) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    made = {}
    for m, shape in (("pointcloud", (n, 10, 3)), ("image", (n, 5)), ("text", (n, 5))):
        data = torch.randn(shape, dtype=torch.float64, generator=draw)
        index = torch.tensor([i for i in range(n) if m != "text" or i not in missing], dtype=torch.int64)
        made[f"{m}/0"] = ViewBatch(data[index], m, index)
    return Batch(torch.arange(n), made, {})


def test_the_loss_is_the_authors() -> None:
    """ULIPWithImageLoss: four cross entropies under one learnt scale; values and gradients."""
    made, now = method(), batch(0)
    value = made(now).loss
    value.backward()
    grads = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    made.zero_grad()
    found = outputs(made, now)
    pc, image, text = (F.normalize(found.rows(name).z, dim=-1) for name in ("cloud", "image", "text"))
    scale, labels = made.temperatures["tau"](), torch.arange(5)
    assert scale.item() == pytest.approx(1 / 0.07)
    expected = torch.zeros((), dtype=torch.float64)
    for other in (text, image):
        logits = scale * pc @ other.T
        expected = expected + (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    expected.backward()
    for name, parameter in made.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-7, atol=1e-10)
    moved = {n.partition(".")[0] for n in grads}
    assert moved == {"towers", "temperatures"}
    assert not any("image" in n or "text" in n for n in grads)


def test_frozen_towers_stand_still_to_the_last_buffer() -> None:
    """Weights, BatchNorm's statistics and dropout: the same bits after training, and the same outputs in train mode."""
    made = method().train()
    before = {n: t.clone() for n, t in made.state_dict().items() if ".image." in n or ".text." in n}
    assert any("running_mean" in n for n in before)
    optimizer = torch.optim.AdamW(made.param_groups(0.1), lr=0.1)
    first = outputs(made, batch(9)).rows("text").z.clone()
    for seed in range(4):
        made(batch(seed, missing=(seed,))).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        made.advance()
    after = made.state_dict()
    assert all(torch.equal(t, after[n]) for n, t in before.items())
    assert torch.equal(first, outputs(made, batch(9)).rows("text").z)
    assert any(not torch.equal(t, after[n]) for n, t in method().state_dict().items() if n not in before)


def test_frozen_towers_are_embedded_too() -> None:
    """Evaluation asks for every modality in the shared space."""
    found = method().embed(batch(0))
    assert set(found) == {"pointcloud", "image", "text"}
    assert {rows.z.shape[1] for rows in found.values()} == {6}


def test_the_scale_stays_between_one_and_a_hundred() -> None:
    made = method()
    for learnt, expected in ((-1.0, 1.0), (9.0, 100.0)):
        made(batch(0))
        with torch.no_grad():
            made.temperatures["tau"].log_scale.fill_(learnt)
        made.advance()
        assert made.temperatures["tau"]().item() == pytest.approx(expected, rel=1e-6)


def test_a_missing_text_leaves_the_pair_as_it_is() -> None:
    made = method().eval()
    whole, more = batch(3, n=4), batch(3, n=4)
    extra = batch(4, n=3, missing=(0, 1, 2))
    index = torch.arange(4, 7)
    for name in ("pointcloud/0", "image/0"):
        view = more.views[name]
        more.views[name] = ViewBatch(torch.cat([view.data, extra.views[name].data]), view.modality, torch.arange(7))
    more = Batch(torch.cat([more.sample, index]), more.views, {})
    a, b = made(whole), made(more)
    torch.testing.assert_close(a.terms["cloud~text"], b.terms["cloud~text"], rtol=1e-12, atol=1e-12)
    assert not torch.isclose(a.terms["cloud~image"], b.terms["cloud~image"])
    assert int(b.metrics["samples/cloud~text"]) == 4
    assert int(b.metrics["samples/cloud~image"]) == 7


@pytest.mark.parametrize("missing", [(), (0, 1, 2)])
def test_two_processes_train_as_one(missing: tuple[int, ...]) -> None:
    assert_ddp_equivalent(method().eval(), [batch(seed, missing=missing) for seed in range(2)])
