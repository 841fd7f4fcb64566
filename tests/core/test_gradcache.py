"""GradCache gives the direct step's loss, gradients and memory of a step, for every method."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from tests.algebra import CASES, FEATURES, POSITIONS, Net, batch, prepare
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.engine.gradcache import backward_in_chunks
from contrapose.errors import ConfigError
from contrapose.losses.engine import Engine
from contrapose.methods.method import Method
from contrapose.types import Batch, ViewBatch, cat_rows, ident


def grads(method: Method) -> dict[str, Tensor]:
    """By name; zeros where there is none."""
    named = [(n, p) for n, p in method.named_parameters() if p.requires_grad]
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in named}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    for name, grad in theirs.items():
        torch.testing.assert_close(ours[name], grad, rtol=0, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")
    assert any(g.abs().max() > 1e-6 for g in theirs.values())


@pytest.mark.parametrize("chunk", [2, 3, 64])
@pytest.mark.parametrize("name", CASES)
def test_every_method_equals_its_direct_step(name: str, chunk: int) -> None:
    """Its tables row for row, so that what is committed is the same too."""
    direct, data = prepare(CASES[name])
    cached, _ = prepare(CASES[name])
    cached.engine = Engine("tiled", 3) if chunk == 2 else Engine("dense")
    loss = direct.loss(data).loss
    loss.backward()
    out = backward_in_chunks(cached, data, chunk)
    torch.testing.assert_close(out.loss, loss, rtol=0, atol=1e-10)
    assert_same(grads(cached), grads(direct))
    ours, theirs = cached._out.tables, direct._out.tables
    assert ours.keys() == theirs.keys()
    for ref, rows in theirs.items():
        torch.testing.assert_close(ours[ref].z, rows.z, rtol=0, atol=1e-10)
        assert ours[ref].meta.keys() == rows.meta.keys()
        assert all(torch.equal(ours[ref].meta[c], column) for c, column in rows.meta.items()), ref


# -- what is random, what normalises, what is missing ------------------------------------------------------------------


class Dropping(Net):
    """Drops inputs, as a net in training does."""

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return super().forward(F.dropout(data, 0.5, self.training))


class Normed(Net):
    """Normalises over its batch."""

    def __init__(self, modality: str) -> None:
        super().__init__(modality)
        self.norm = nn.BatchNorm1d(POSITIONS, dtype=torch.float64)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return super().forward(self.norm(data))


def with_net(name: str, net: nn.Module) -> Method:
    method = Method.from_data(CASES[name].data(), {"pulse": net}).double()
    method.clock.start(steps_per_epoch=10, epochs=3)
    return method


@pytest.mark.parametrize("count", [7, 6])
def test_the_second_pass_drops_what_the_first_did(count: int) -> None:
    """The same as one graph over the chunks' passes, each with its own masks."""
    data = batch(CASES["simclr"].views, count)
    made = []
    for _ in range(2):
        torch.manual_seed(1)
        made.append(with_net("simclr", Dropping("pulse")))
    direct, cached = made
    torch.manual_seed(5)
    tables = [direct.encode(data.take(p)) for p in torch.arange(count).tensor_split(-(-count // 2))]
    whole = cat_rows([t["online"] for t in tables])
    order = torch.argsort(torch.tensor([*map(int, whole.meta["view"] == ident(data_view(data, 1)))]), stable=True)
    direct.score({"online": whole.take(order)}, data).loss.backward()
    torch.manual_seed(5)
    loss = backward_in_chunks(cached, data, 2).loss
    after = torch.rand(1)
    assert_same(grads(cached), grads(direct))
    torch.manual_seed(5)
    assert not torch.equal(with_net("simclr", Dropping("pulse")).loss(data).loss, loss)
    torch.manual_seed(5)
    [cached.encode(data.take(p)) for p in torch.arange(count).tensor_split(-(-count // 2))]
    assert torch.equal(torch.rand(1), after)  # the generator goes on from the last chunk, not from an earlier one


def data_view(data: Batch, n: int) -> str:
    return [*data.views][n]


def test_batchnorm_is_refused_unless_it_is_accepted() -> None:
    method, data = with_net("moco-v2", Normed("pulse")), batch(CASES["moco-v2"].views)
    with pytest.raises(
        ConfigError, match=r"^encoders\.pulse\.norm is a BatchNorm: .*train\.chunk_batchnorm: true$"
    ) as e:
        backward_in_chunks(method, data, 3)
    assert e.value.path == ("train", "chunk_size")
    backward_in_chunks(method, data, 3, batchnorm=True)
    for norm in (method.encoders["pulse"].norm, method.towers.twins["twin_0"].encoders["pulse"].norm):
        assert int(norm.num_batches_tracked) == 3  # once a chunk, though each chunk ran twice
    method.encoders["pulse"].norm = nn.SyncBatchNorm(POSITIONS)
    with pytest.raises(ConfigError, match="synchronised over processes, which can't work in chunks"):
        backward_in_chunks(method, data, 3, batchnorm=True)


def test_batchnorm_in_eval_mode_is_exact() -> None:
    direct, data = with_net("simclr", Normed("pulse")), batch(CASES["simclr"].views)
    cached = copy.deepcopy(direct)
    for method in (direct, cached):
        method.eval()
    direct.loss(data).loss.backward()
    backward_in_chunks(cached, data, 2)
    assert_same(grads(cached), grads(direct))


@pytest.mark.parametrize("missing", [(0, 1), (2, 3, 4), (6,), range(7)], ids=str)
@pytest.mark.parametrize("name", ["clip", "cmc", "crosspoint", "gram", "tcl"])
def test_chunks_without_a_modality(name: str, missing: Sequence[int]) -> None:
    case = CASES[name]
    direct, cached = case.method(), case.method()
    data = batch(case.views, 7, missing={case.modalities[-1]: missing})
    for method in (direct, cached):
        case.before(method)
    for n in range(2):
        direct.loss(data).loss.backward()
        backward_in_chunks(cached, data, 2)
        ours, theirs = grads(cached), grads(direct)
        for p, grad in theirs.items():
            torch.testing.assert_close(ours[p], grad, rtol=0, atol=1e-10)
        without = [[p for p, t in m.named_parameters() if t.grad is None] for m in (direct, cached)]
        assert without[0] == without[1], n  # an absent modality's encoder has a gradient, of zeros
        direct.advance()
        cached.advance()


def test_rows_in_any_order_keep_it() -> None:
    """A mixer may give a view's rows in another order than the samples'."""
    direct, cached = CASES["simclr"].method(), CASES["simclr"].method()
    data = batch(CASES["simclr"].views)
    view, order = data.views["pulse/a"], torch.tensor([3, 1, 6, 0, 5, 2])
    data.views["pulse/a"] = ViewBatch(view.data[order], "pulse", view.index[order])
    direct.loss(data).loss.backward()
    backward_in_chunks(cached, data, 2)
    assert torch.equal(cached._out.tables["online"].meta["sample"], direct._out.tables["online"].meta["sample"])
    assert_same(grads(cached), grads(direct))


# -- memory ------------------------------------------------------------------------------------------------------------


class Wide(Net):
    """Much wider inside than its output."""

    def __init__(self, modality: str) -> None:
        super().__init__(modality)
        self.up = nn.Linear(FEATURES, 2000, dtype=torch.float64)
        self.down = nn.Linear(2000, FEATURES, dtype=torch.float64)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        return super().forward(self.down(torch.tanh(self.up(data))))


class Kept:
    """Counts the bytes that graphs keep for their backward passes, and the most at any time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def pack(self, t: Tensor) -> Kept.Box:
        box = Kept.Box(t.data)  # an output would hold its graph, and that the output
        self.now += t.nbytes
        self.most = max(self.most, self.now)
        weakref.finalize(box, self.drop, t.nbytes)
        return box

    def drop(self, size: int) -> None:
        self.now -= size

    @dataclass(eq=False)
    class Box:
        tensor: Tensor


def kept(step: Callable[[], object]) -> int:
    counted = Kept()
    with torch.autograd.graph.saved_tensors_hooks(counted.pack, lambda box: box.tensor):
        step()
    return counted.most


def test_activations_are_those_of_a_chunk() -> None:
    method, data = with_net("simclr", Wide("pulse")), batch(CASES["simclr"].views, 64)
    direct = kept(lambda: method.loss(data).loss.backward())
    in_chunks = {size: kept(lambda s=size: backward_in_chunks(method, data, s)) for size in (4, 8, 64)}
    assert in_chunks[64] == pytest.approx(direct, rel=0.1)
    assert in_chunks[8] < direct / 7
    assert in_chunks[4] < direct / 12
