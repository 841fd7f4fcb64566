"""A sample's views folded into one row: the order, what is missing, and PIRL's identities."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.algebra import HEAD, WIDTH, Net, batch, gradients
from torch import Tensor

from contrapose import Method, registry
from contrapose.branches.branch import Branch
from contrapose.errors import ConfigError
from contrapose.types import Batch, ViewBatch, ident

PATCHES = tuple(f"pulse/patch_{n}" for n in (2, 0, 1))  # the batch's order counts, not the alphabet's
LINEAR = {"use": "linear", "out": 3}
TERM = {"query": "patches", "keys": ["patches"], "positives": "same(group) and not self"}


def folding(**changes: Any) -> Method:
    branch = {"views": "patch_*", "projector": LINEAR, "fold": 3} | changes
    torch.manual_seed(0)
    data = {"branches": {"patches": branch}, "terms": {"t": TERM}}
    return Method.from_data(data, {"pulse": Net("pulse")}).double()


def by_hand(method: Method, data: Batch, views: tuple[str, ...] = PATCHES) -> Tensor:
    """Encoder and projector on each patch alone, then all of a sample's side by side."""
    net, head = method.encoders["pulse"], method.towers.projectors["patches"].net[0]
    each = [torch.tanh(data.views[v].data @ net.weight.T).mean(1) @ head.weight.T + head.bias for v in views]
    return torch.stack([torch.cat([e[i] for e in each]) for i in range(len(data))])


def without(data: Batch, view: str, *gone: int) -> Batch:
    """The batch in which some positions lack a view."""
    old = data.views[view]
    kept = torch.tensor([i for i in range(len(data)) if i not in gone], dtype=torch.int64)
    new = ViewBatch(old.data[kept] if len(kept) else None, old.modality, old.index[kept])
    return Batch(data.sample, {**data.views, view: new}, data.meta)


def test_views_stand_side_by_side_in_the_batch_s_order_before_the_predictor() -> None:
    data = batch(PATCHES)
    plain, whole = folding(), folding(predictor={"use": "linear", "out": 2})
    assert plain.width("patches") == 9
    assert plain.width("patches.projected") == 3
    rows = plain.encode(data)["patches"]
    torch.testing.assert_close(rows.z, by_hand(plain, data))
    assert rows.meta["sample"].tolist() == data.sample.tolist()
    assert rows.meta["view"].unique().tolist() == [ident("pulse/patches")]
    assert rows.meta["group"].tolist() == data.meta["group"].tolist()
    predictor = whole.towers.predictors["patches"].net[0]
    made = whole.encode(data)["patches"].z
    wanted = by_hand(whole, data) @ predictor.weight.T + predictor.bias
    torch.testing.assert_close(made, wanted)
    g = torch.randn(made.shape, dtype=torch.float64)
    theirs = gradients(whole, (wanted * g).sum())
    for name, grad in gradients(whole, (made * g).sum()).items():
        torch.testing.assert_close(grad, theirs[name], msg=name)


def test_the_rows_before_the_fold_are_one_a_view() -> None:
    data = {"branches": {"patches": {"views": "patch_*", "projector": LINEAR, "fold": 3}}, "terms": {"t": TERM}}
    data["terms"] = {"t": TERM | {"query": "patches.projected", "keys": ["patches.projected"]}}
    rows = Method.from_data(data, {"pulse": Net("pulse")}).double().encode(batch(PATCHES))["patches.projected"]
    assert rows.z.shape == (21, 3)
    assert {ident(v) for v in PATCHES} == set(rows.meta["view"].tolist())


def test_a_sample_that_lacks_a_view_has_no_row_and_changes_no_other() -> None:
    method, data = folding(), batch(PATCHES)
    rows = method.encode(without(without(data, PATCHES[0], 1), PATCHES[2], 4))["patches"]
    kept = [0, 2, 3, 5, 6]
    assert rows.meta["sample"].tolist() == data.sample[kept].tolist()
    torch.testing.assert_close(rows.z, by_hand(method, data)[kept])


@pytest.mark.parametrize("tap", ["pooled", "dense"])
def test_a_view_that_nobody_has_leaves_an_empty_table_in_the_graph(tap: str) -> None:
    method, data = folding(tap=tap, predictor=LINEAR), batch(PATCHES)
    out = method.loss(without(data, PATCHES[1], *range(7)))
    assert out.loss == 0
    out.loss.backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
    assert method.encode(without(data, PATCHES[1], *range(7)))["patches"].z.shape == (0, 3)


def test_every_position_of_a_dense_tap_is_folded_with_its_like() -> None:
    method, data = folding(tap="dense", projector=None), batch(PATCHES)
    rows = method.encode(data)["patches"]
    assert rows.z.shape == (28, 3 * WIDTH)
    each = [torch.tanh(data.views[v].data @ method.encoders["pulse"].weight.T) for v in PATCHES]
    torch.testing.assert_close(rows.z, torch.cat(each, -1).flatten(0, 1))
    assert rows.meta["position"][:4].tolist() == [0, 1, 2, 3]


def test_each_modality_folds_its_own_views() -> None:
    views = tuple(f"{m}/patch_{n}" for n in (0, 1) for m in ("pulse", "echo"))
    data = {"branches": {"patches": {"views": "patch_*", "fold": 2}}, "terms": {"t": TERM}}
    method = Method.from_data(data, {m: Net(m, n) for n, m in enumerate(("pulse", "echo"))}).double()
    step = batch(views, missing={"echo": (3,)})
    rows = method.encode(step)["patches"]
    assert rows.z.shape == (7 + 6, 2 * WIDTH)
    assert rows.meta["view"].tolist() == 7 * [ident("pulse/patches")] + 6 * [ident("echo/patches")]
    net = method.encoders["echo"]
    each = [torch.tanh(step.views[f"echo/patch_{n}"].data @ net.weight.T).mean(1) for n in (0, 1)]
    torch.testing.assert_close(rows.z[7:], torch.cat(each, -1))


def test_another_number_of_views_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"'patches' folds 3 views .* pulse/patch_2, pulse/patch_0"):
        folding().encode(batch(PATCHES[:2]))
    with pytest.raises(ConfigError, match="at least 2 views") as caught:
        folding(fold=1)
    assert caught.value.path == ("method", "branches", "patches", "fold")
    assert Branch("*").fold is None


def preset(name: str, **arguments: Any) -> Method:
    torch.manual_seed(0)
    data = registry().load("method", name)(out=4, negatives=5, **arguments)  # type: ignore[operator]
    return Method.from_data(data, {"pulse": Net("pulse")}).double()


def test_pirl_without_its_patches_is_instance_discrimination() -> None:
    pirl, npid = preset("pirl", patches=3, share=0.0), preset("npid")
    npid.load_state_dict(pirl.state_dict(), strict=False)
    views = ("pulse/whole", "pulse/patch_0", "pulse/patch_1", "pulse/patch_2")
    for seed in (0, 1):
        data = batch(views, seed=seed)
        alone = Batch(data.sample, {"pulse/whole": data.views["pulse/whole"]}, data.meta)
        ours, theirs = pirl.loss(data), npid.loss(alone)
        torch.testing.assert_close(ours.loss, theirs.loss, rtol=0, atol=0)
        wanted = gradients(npid, theirs.loss)
        for name, grad in gradients(pirl, ours.loss).items():
            torch.testing.assert_close(grad, wanted.get(name, torch.zeros_like(grad)), rtol=0, atol=0, msg=name)
        pirl.advance()
        npid.advance()
    assert torch.equal(pirl.sources["bank"].z, npid.sources["bank"].z)  # the whole alone moves the bank


def test_pirl_weighs_its_two_terms() -> None:
    data = batch(("pulse/whole", "pulse/patch_0", "pulse/patch_1", "pulse/patch_2"))
    out = preset("pirl", patches=3, share=0.25).loss(data)
    torch.testing.assert_close(out.loss, 0.25 * out.terms["patches"] + 0.75 * out.terms["whole"])


def test_a_branch_may_follow_a_folding_one_by_its_average() -> None:
    twin = {"views": "patch_*", "of": "patches", "weights": "ema", "fold": 3}
    data = {
        "branches": {"patches": {"views": "patch_*", "projector": HEAD, "fold": 3}, "slow": twin},
        "terms": {"t": TERM | {"keys": ["slow"], "positives": "same(sample)", "denominator": "all"}},
    }
    method = Method.from_data(data, {"pulse": Net("pulse")}).double()
    tables = method.encode(batch(PATCHES))
    torch.testing.assert_close(tables["slow"].z, tables["patches"].z.detach())
    assert not tables["slow"].z.requires_grad
