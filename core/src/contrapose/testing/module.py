"""What encoders and heads must keep as ``nn.Module``s that are trained, saved, copied and run in low precision."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import safetensors.torch
import torch
from torch import Tensor

from contrapose.testing.compare import must, same, stir
from contrapose.testing.contract import Contract
from contrapose.testing.data import rows_of
from contrapose.testing.draw import drawn, picks

CLOSE = 1e-3
"""Two ways to the same float32 numbers may differ by this share of the largest."""


class ModuleContract(Contract):
    """Base of the contracts of encoders and heads: ``noun`` with its article, and what it ``gives``."""

    noun: ClassVar[str]
    gives: ClassVar[str]

    def module(self, seed: int = 0) -> Any:
        """The module, anew, with weights drawn under a seed."""
        torch.manual_seed(seed)
        return self.make()

    @property
    def whole(self) -> Any:
        """A batch of several rows."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        """Its rows."""
        raise NotImplementedError

    def through(self, module: Any, data: Any) -> dict[str, Tensor]:
        """What the module gives, by name."""
        raise NotImplementedError

    @cached_property
    def _evaluated(self) -> tuple[Any, Any, dict[str, Tensor]]:
        """The module in eval mode, a batch, and what it gives."""
        with evaluating(self.module()) as module:
            batch = self.whole
            return module, batch, self.through(module, batch)

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_the_gradient_reaches_every_parameter(self) -> None:
        """No parameter is left over: one without gradient stops distributed training."""
        module = self.module().train()
        backward(self.through(module, self.whole))
        missed = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
        assert not missed, f"no {self.gives}'s gradient reaches {', '.join(missed)}: use it, remove it, or freeze it"

    def test_evaluation_is_a_function_of_the_batch(self) -> None:
        """In eval mode the same batch gives the same numbers, and nothing in the module moves."""
        with evaluating(self.module()) as module:
            kept = copy.deepcopy(module.state_dict())
            first = self.through(module, self.whole)
            stir(5)
            again = self.through(module, self.whole)
            assert same(first, again), "eval mode must switch off all chance, such as dropout"
            assert same(dict(module.state_dict()), dict(kept)), "a forward pass in eval mode must leave buffers alone"

    @drawn(rows=lambda self: picks(self.count))
    def test_rows_do_not_see_each_other_in_evaluation(self, rows: list[int]) -> None:
        """In eval mode what a row gives depends neither on its place nor on its neighbours, so that embeddings don't either."""
        module, batch, made = self._evaluated
        with torch.no_grad():
            found = self.through(module, rows_of(batch, rows))
        assert same(found, rows_of(made, rows), CLOSE), (
            f"in eval mode a row must give the same {self.gives}s whatever its place and the other rows: "
            "normalise by running statistics or by row"
        )

    def test_bf16_stays_finite(self) -> None:
        """What it gives, and its gradients, under bf16 autocast."""
        module = self.module().train()
        few = rows_of(self.whole, [0, 1])  # CPUs are slow at bf16
        with must(f"{self.noun} must run under bf16 autocast"), torch.autocast("cpu", dtype=torch.bfloat16):
            made = self.through(module, few)
        assert all(t.isfinite().all() for t in made.values()), (
            f"{self.gives}s under bf16 autocast must be finite: use fp32 inside"
        )
        backward(made)
        broken = [n for n, p in module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        assert not broken, f"gradients under bf16 autocast must be finite, but not in {', '.join(broken)}"

    def test_weights_are_a_function_of_the_seed(self) -> None:
        """``torch.manual_seed`` alone decides them, as ``train.seed`` does."""
        made = []
        for other in (1, 2):
            stir(other)
            made.append(dict(self.module().state_dict()))
        assert same(made[0], made[1]), (
            "weights must be drawn by torch's default generator alone: one seed gave two networks"
        )

    def test_its_state_is_saved_and_loaded(self) -> None:
        """``state_dict`` through safetensors into one of other weights."""
        first, second = (self.module(seed).eval() for seed in (0, 1))
        file = self.folder / "module.safetensors"
        with must("state_dict must go through safetensors: tensors that are shared must be saved once"):
            safetensors.torch.save_file({k: t.contiguous() for k, t in first.state_dict().items()}, file)
            second.load_state_dict(safetensors.torch.load_file(file))
        self._check_equal(first, second, "after load_state_dict")

    def test_copies_are_their_own(self) -> None:
        """Momentum twins are deep copies; other processes get it pickled."""
        module = self.module().eval()
        with must(f"{self.noun} must be deep-copied, as momentum twins are"):
            twin = copy.deepcopy(module)
        self._check_equal(module, twin, "in a deep copy")
        mine = {id(p) for p in module.parameters()}
        shared = [name for name, p in twin.named_parameters() if id(p) in mine]
        assert not shared, f"a deep copy must have parameters of its own, but it shares {', '.join(shared)}"
        with must(f"{self.noun} must be picklable: define what it is made of at the top of a module"):
            self._check_equal(module, pickle.loads(pickle.dumps(module)), "after pickling")

    def _check_equal(self, a: Any, b: Any, when: str) -> None:
        with torch.no_grad():
            equal = same(self.through(a, self.whole), self.through(b, self.whole), 1e-6)
            assert equal, f"{self.gives}s must be the same {when}"


@contextmanager
def evaluating(module: Any) -> Iterator[Any]:
    """The module in eval mode, without gradient."""
    with torch.no_grad():
        yield module.eval()


def backward(made: Mapping[str, Tensor]) -> None:
    """A backward pass in which every number takes part, each with a weight of its own."""
    weigh = torch.Generator().manual_seed(0)
    total = sum((t.float() * torch.randn(t.shape, generator=weigh)).sum() for t in made.values() if t.requires_grad)
    if isinstance(total, Tensor):
        total.backward()
