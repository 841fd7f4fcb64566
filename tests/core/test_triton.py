"""Triton's kernels give what all pairs at once give in float64, here in its interpreter; on a GPU as it compiles them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from packaging.version import Version
from tests.algebra import CASES, gradients, prepare
from tests.benchmarks import clip_cpu, moco_queue, multi_positive_cpu, ntxent_cpu
from tests.benchmarks.embeddings import loss_of
from tests.benchmarks.harness import LossOf
from tests.core.test_losses import LOSSES
from tests.core.test_tiled import setting, table
from torch import Tensor
from torch.nn import functional as F

from contrapose import losses
from contrapose.engine.gradcache import backward_in_chunks
from contrapose.errors import ConfigError
from contrapose.losses import engine, tiled
from contrapose.losses.engine import DENSE, Engine, pair_loss
from contrapose.losses.fused import FusedLogSum
from contrapose.losses.pair import Block
from contrapose.losses.rectangles import Rectangle
from contrapose.losses.similarity import euclidean
from contrapose.relations import listing
from contrapose.relations.predicate import parse
from contrapose.relations.relation import PredicatePlan
from contrapose.types import Rows

triton = pytest.importorskip("triton", reason="comes with torch for CUDA, and isn't installed here")
DEVICE = "cpu" if os.environ["TRITON_INTERPRET"] == "1" else "cuda"
if DEVICE == "cpu" and Version(triton.__version__) < Version("3.7") and Version(np.__version__) >= Version("2.4"):
    pytest.skip("triton's interpreter before 3.7 fails with NumPy 2.4 and newer", allow_module_level=True)

TRITON = Engine("triton", 16)
EXACT = {torch.float32: 1e-5, torch.bfloat16: 5e-3}
"""Relative errors: a logit of 100 is off by 6e-6 in fp32, and so is its exponential; gradients in bf16 have 8 bits.

Twice as much by label, where autograd rounds three gradients of the table to bf16 and adds them up, with any engine.
"""


def random_tables(sizes: dict[str, int], dtype: torch.dtype, dim: int, missing: bool = False) -> dict[str, Rows]:
    """Unit rows that fit into ``dtype``, in float64, with anchors that have no positive and rows that are there twice."""
    g = torch.Generator().manual_seed(sum(sizes.values()) + dim)
    tables = {origin: table(n, origin, g, missing=missing) for origin, n in sizes.items()}
    for rows in tables.values():
        z = F.normalize(torch.randn(len(rows), dim, generator=g), dim=1)
        z[len(z) // 2 :] = z[: len(z) - len(z) // 2].flip(0)
        rows.z = z.to(dtype).double()
    return tables


def placed(rows: Rows, dtype: torch.dtype, device: str) -> Rows:
    """These rows as leaves of a graph."""
    z = rows.z.to(device, dtype).requires_grad_()
    return Rows(z, {name: column.to(device) for name, column in rows.meta.items()})


def found(
    tables: dict[str, Rows], query: str, keys: str, relation: int, scale: float, loss: str, how: tuple[Any, ...]
) -> list[Tensor]:
    """Value and gradients of the tables and of the scale, in float64."""
    way, dtype, device = how
    ours = {name: placed(rows, dtype, device) for name, rows in tables.items()}
    wide = torch.promote_types(dtype, torch.float32)
    factor = torch.tensor(scale, dtype=wide, device=device, requires_grad=True)
    blocks, plan = setting(ours, query, keys, relation, factor)
    value, weight = pair_loss(blocks, plan, LOSSES[loss], factor, way)
    total = (value * weight * torch.linspace(1, 2, len(value), dtype=value.dtype, device=device)).sum()
    leaves = [*(rows.z for rows in ours.values()), factor]
    total = total + 0 * sum(leaf.sum() for leaf in leaves)  # of which no pair may be
    grads = torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)
    return [t.detach().double().cpu() for t in (total, *grads)]


def assert_exact(tables: dict[str, Rows], dtype: torch.dtype, *rest: Any, times: int = 1) -> None:
    """Within ``EXACT`` of the largest, or of 0.01: the gradient of a row that meets nothing is 0."""
    ours = found(tables, *rest, (TRITON, dtype, DEVICE))
    exact = found(tables, *rest, (DENSE, torch.float64, "cpu"))
    assert exact[0] != 0
    for got, wanted in zip(ours, exact, strict=True):
        largest = max([1e-2, *wanted.abs().flatten().tolist()])
        torch.testing.assert_close(got, wanted, rtol=0, atol=times * EXACT[dtype] * largest)


@pytest.fixture(autouse=True)
def _no_tile_and_short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with tables of many rows, a label or an origin is no list of pairs."""
    monkeypatch.setattr(listing, "PER_ROW", 4)
    whole = tiled.Tiled._tile

    def watched(self: tiled.Tiled, *args: Any) -> Any:
        return pytest.fail("a tile was filled") if self.fused else whole(self, *args)

    monkeypatch.setattr(tiled.Tiled, "_tile", watched)


@pytest.mark.parametrize("scale", [10.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("query", "keys", "relation"),
    [("a", "a", 0), ("ab", "ab", 1), ("a", "b", 1), ("a", "ab", 2), ("a", "a", 3)],
    ids=["simclr", "clip", "one-way", "moco", "supcon"],
)
def test_kernels_give_what_dense_gives(query: str, keys: str, relation: int, dtype: torch.dtype, scale: float) -> None:
    tables = random_tables({"a": 70, "b": 90}, dtype, 20)
    times = 2 if relation == 3 and dtype == torch.bfloat16 else 1
    assert_exact(tables, dtype, query, keys, relation, scale, "all", times=times)


@pytest.mark.parametrize("loss", ["negatives", "own", "in", "debiased", "cosine"])
def test_losses_that_ask_for_log_sums(loss: str) -> None:
    assert_exact(random_tables({"a": 40, "b": 30}, torch.float32, 7), torch.float32, "ab", "ab", 1, 5.0, loss)


@pytest.mark.parametrize(("sizes", "dim"), [((64, 128), 32), ((1, 65), 1), ((129, 1), 300), ((5, 0), 16)])
def test_sizes_that_fill_a_block_and_that_do_not(sizes: tuple[int, int], dim: int) -> None:
    tables = random_tables(dict(zip("ab", sizes, strict=True)), torch.float32, dim)
    for rows in tables.values():
        rows.meta["sample"] = torch.arange(len(rows)) // 2
    assert_exact(tables, torch.float32, "ab", "ab", 0, 7.0, "all")


def test_keys_that_lack_a_branch_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "RUNS", 2)
    tables = random_tables({"a": 40, "b": 50}, torch.float32, 8, missing=True)
    plan = setting(tables, "ab", "ab", 1, 2.0)[1]
    assert any(r.without is not None for b in range(2) for r in plan.listed(b).regions)
    assert_exact(tables, torch.float32, "ab", "ab", 1, 6.0, "all")


def test_no_anchor_and_no_key_have_no_loss() -> None:
    for sizes in ({"a": 0, "b": 5}, {"a": 5, "b": 0}):
        tables = random_tables(sizes, torch.float32, 4)
        assert found(tables, "a", "b", 1, 2.0, "all", (TRITON, torch.float32, DEVICE))[0] == 0


def log_sums(x: Tensor, y: Tensor, left_out: Sequence[Sequence[int]], scale: float) -> tuple[Tensor, Tensor]:
    """Those of the rows of x with all of y but some, and the gradient of x by their sum."""
    x, y = x.to(DEVICE), y.to(DEVICE)
    pairs = torch.tensor(left_out, dtype=torch.int64, device=DEVICE).view(-1, 2).unbind(1)
    kernel = FusedLogSum([Rectangle(x, slice(0, len(x)), y, slice(0, len(y)), scale, pairs, None, 0)], len(x))
    made, grad = kernel(), torch.zeros_like(x)
    kernel.add_gradients(made, torch.ones_like(made), {id(x): grad})
    return made.cpu(), grad.cpu()


@pytest.mark.parametrize("scale", [100.0, 900.0])
def test_each_anchor_has_its_own_maximum(scale: float) -> None:
    """fp32 bears e^88; the nearest key comes last, and one anchor is far from all keys."""
    g = torch.Generator().manual_seed(0)
    y = F.normalize(torch.randn(150, 8, generator=g), dim=1)
    y[:-1] = F.normalize(y[:1] + 0.1 * y[:-1], dim=1)
    x = torch.stack([y[-1], -y[0], y[0]])
    made, grad = log_sums(x, y, [], scale)
    leaf = x.double().requires_grad_()
    wanted = (scale * leaf @ y.double().T).logsumexp(1)
    torch.testing.assert_close(made.double(), wanted.detach(), rtol=1e-6, atol=0)
    (exact,) = torch.autograd.grad(wanted.sum(), leaf)
    torch.testing.assert_close(grad.double(), exact, rtol=0, atol=2 * 2**-23 * scale * float(exact.abs().max()))


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_an_anchor_without_pairs_and_one_with_nan() -> None:
    x = torch.ones(3, 5)
    x[2, 1] = torch.nan
    made, grad = log_sums(x, torch.ones(70, 5), [(0, j) for j in range(70)] + [(1, 69)], 1.0)
    assert made[0] == -torch.inf
    torch.testing.assert_close(made[1], 5 + torch.tensor(69.0).log())
    assert made[2].isnan()
    assert torch.equal(grad[0], torch.zeros(5))
    torch.testing.assert_close(grad[1], torch.ones(5))
    assert grad[2].isnan().all()


def formula(name: str) -> tuple[LossOf, LossOf]:
    """A benchmark's method with Triton's engine, and its paper's formula."""
    if name == "moco":
        queue = torch.randn(150, 24, generator=torch.Generator().manual_seed(2)).to(DEVICE)
        ours = loss_of(moco_queue.METHOD, ["a/0", "b/0", "c/0"], 24, Engine("triton"))
        return lambda inputs: ours([*inputs, queue]), moco_queue.reference(queue.cpu())
    module = {"simclr": ntxent_cpu, "clip": clip_cpu, "supcon": multi_positive_cpu}[name]
    views = ["a/0", "b/0"] if name == "clip" else ["a/0", "a/1"]
    meta = {"label": (torch.arange(40) % 10).to(DEVICE)} if name == "supcon" else {}
    return loss_of(module.METHOD, views, 24, Engine("triton"), meta), module.reference


@pytest.mark.parametrize("name", ["simclr", "clip", "moco", "supcon"])
def test_whole_methods_give_their_papers_formula(name: str) -> None:
    ours, reference = formula(name)
    g = torch.Generator().manual_seed(1)
    inputs = [torch.randn(40, 24, generator=g, requires_grad=True) for _ in range(2)]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    loss, wanted = ours([x.to(DEVICE) for x in inputs]), reference(exact)
    pairs = zip(torch.autograd.grad(loss, inputs), torch.autograd.grad(wanted, exact), strict=True)
    for got, grad in [(loss.cpu(), wanted), *pairs]:
        torch.testing.assert_close(got.double(), grad, rtol=0, atol=1e-5 * float(grad.detach().abs().max()))


@pytest.mark.parametrize("name", ["clip", "moco-v2", "cmc"])
def test_in_chunks_too(name: str) -> None:
    """With what a method learns beside its encoders, a temperature for one."""
    direct, data = prepare(CASES[name])
    wanted = gradients(direct, direct.loss(data).loss)
    cached, _ = prepare(CASES[name])
    cached.float().engine = Engine("triton")
    for view in data.views.values():
        view.data = view.data.float()
    backward_in_chunks(cached.to(DEVICE), data.to(DEVICE), 3)
    largest = max(float(g.abs().max()) for g in wanted.values())
    made = {parameter: p.grad for parameter, p in cached.named_parameters() if p.grad is not None}
    assert made.keys() == {parameter for parameter, g in wanted.items() if g.abs().max() > 0}
    for parameter, grad in made.items():
        torch.testing.assert_close(grad.double().cpu(), wanted[parameter], rtol=0, atol=5e-5 * largest)


# -- what it says -------------------------------------------------------------------------------------------------------


Change = Callable[[Block, PredicatePlan], None]


def refused(change: Change, loss: str = "all", relation: int = 0) -> str:
    tables = {"a": placed(random_tables({"a": 20}, torch.float32, 4)["a"], torch.float32, DEVICE)}
    blocks, plan = setting(tables, "a", "a", relation, 2.0)
    change(blocks[0], plan)
    with pytest.raises(ConfigError) as caught:
        pair_loss(blocks, plan, LOSSES[loss], 2.0, TRITON)
    assert str(caught.value).startswith("loss.engine: triton can't do ")
    assert str(caught.value).endswith("; engine: tiled can")
    return str(caught.value)


def _of_its_own(block: Block, plan: PredicatePlan) -> None:
    meta = {name: c[:, None].repeat(1, 3) for name, c in block.keys.meta.items() if c.ndim == 1}
    block.keys = Rows(block.keys.z.detach()[:, None].repeat(1, 3, 1), meta, private=True)
    plan.keys = [block.keys]


def _halved(block: Block, plan: PredicatePlan) -> None:
    plan.relation.denominator = {parse("not self"): 0.5}


def _wide(block: Block, plan: PredicatePlan) -> None:
    block.tables = [block.tables[0].double()]


def test_what_it_cannot_do_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(whole: str, value: Any) -> Change:
        return lambda block, plan: setattr(block.keys if whole == "tau" else block, whole, value)

    assert "the loss Sigmoid" in refused(put("bias", None), "sigmoid")
    assert "the loss NCE" in refused(put("bias", None), "hard")
    assert "a bias" in refused(put("bias", -10.0))
    assert "the similarity euclidean" in refused(put("similarity", euclidean))
    assert "temperatures or biases of their own" in refused(put("tau", torch.ones(20, device=DEVICE)))
    assert "keys that each anchor has of its own" in refused(_of_its_own)
    assert "tables in float64" in refused(_wide)
    assert "weight isn't 1" in refused(_halved)
    monkeypatch.setattr(listing, "PER_ROW", 0)
    assert "a relation whose pairs" in refused(put("bias", None), relation=4)


def test_no_device_and_no_package_are_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from contrapose.losses import kernels

    tables = random_tables({"a": 20}, torch.float32, 4)

    def said() -> str:
        with pytest.raises(ConfigError) as caught:
            found(tables, "a", "a", 0, 2.0, "cosine", (TRITON, torch.float32, "cpu"))
        return str(caught.value)

    monkeypatch.setattr(kernels, "INTERPRETED", False)
    assert said() == "loss.engine: triton needs a CUDA device, and this is cpu; engine: tiled works here"
    monkeypatch.delattr(losses, "kernels")
    monkeypatch.setitem(sys.modules, "contrapose.losses.kernels", None)
    assert "needs the package triton" in said()


def test_auto_never_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MANY", 0)
    monkeypatch.setattr(tiled, "FusedLogSum", lambda *args: pytest.fail("it did"))
    assert found(random_tables({"a": 20}, torch.float32, 4), "a", "a", 0, 2.0, "all", (Engine(), torch.float32, "cpu"))


COMPILED = """
import triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from contrapose.losses import fused, kernels

assert not kernels.INTERPRETED
whole = {"ROWS": fused.BLOCK, "COLUMNS": fused.BLOCK, "DEPTH": fused.DEPTH}
pull = {"BY_ROWS": True, "BY_COLUMNS": True, "CHUNK": fused.CHUNK, "OPERAND": tl.bfloat16, "PRECISION": "ieee"}
for kernel, table, given in (
    (kernels.log_sums, "*fp32", whole | {"OPERAND": tl.float32, "PRECISION": "tf32x3"}),
    (kernels.pulled, "*bf16", whole | pull),
):
    types = {"x": table, "y": table, "n": "i32", "m": "i32", "d": "i32"}
    types |= {name: "*i64" for name in ("out_rows", "out_columns", "starts")} | dict.fromkeys(given, "constexpr")
    source = ASTSource(kernel, {name: types.get(name, "*fp32") for name in kernel.arg_names}, constexprs=given)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": fused.WARPS})
    assert made.asm["cubin"] and made.metadata.shared <= 99 * 2**10
"""


def test_kernels_compile_for_a_gpu_that_is_not_here(tmp_path: Any) -> None:
    env = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", COMPILED], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.skipif(DEVICE == "cuda" or not torch.cuda.is_available(), reason="no CUDA device here")
def test_all_this_on_the_gpu() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__],
        env=os.environ | {"TRITON_INTERPRET": "0"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
