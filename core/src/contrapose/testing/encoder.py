"""What an encoder must keep."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from contrapose.testing.compare import must, same, stir
from contrapose.testing.data import SampleContract, rows_of
from contrapose.types import Encoder

CLOSE = 1e-3
"""Two ways to the same float32 numbers may differ by this share of the largest."""


class EncoderContract(SampleContract):
    """An encoder gives the taps that it declares, for any number of rows, each row for itself once it is in eval mode."""

    kind = "encoder"

    def encoder(self, seed: int = 0) -> Any:
        """The encoder, anew, with weights drawn under a seed."""
        assert self.reads  # fitted by now, so that what fitting draws comes before the weights
        torch.manual_seed(seed)
        return self.make()

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_is_a_module_that_says_what_it_reads_and_gives(self) -> None:
        """An ``nn.Module`` with ``modality`` and ``dims``, of which ``pooled`` is one."""
        encoder = self.encoder()
        assert isinstance(encoder, nn.Module), f"an encoder is an nn.Module, not {type(encoder).__name__}"
        assert isinstance(encoder, Encoder), (
            "an encoder needs modality (what it reads) and dims (the width of each tap)"
        )
        assert encoder.modality == self.reads.name, (
            f"modality says {encoder.modality!r}, but it reads {self.reads.name!r}"
        )
        assert "pooled" in encoder.dims, "dims needs 'pooled', the tap that branches use by default"
        if self.spec is not None:
            said = self._offer().spec.modality
            assert said == encoder.modality, f"its Spec must say modality={encoder.modality!r}, not {said!r}"

    def test_taps_are_as_wide_as_declared(self) -> None:
        """Each tap of ``dims`` and no other, a row for each row: ``pooled`` (n, D), others (n, D) or (n, P, D)."""
        encoder, batch = self.encoder(), self.batch
        kept = copy.deepcopy(batch)
        for mode in (True, False):
            self._check_taps(encoder, encoder.train(mode)(batch), len(self.samples))
        assert same(batch, kept), "an encoder must not change its batch in place: other views and branches read it too"

    def test_no_rows_are_a_batch_too(self) -> None:
        """0 rows give 0 rows of the declared width with a gradient, so that ranks without a modality keep step."""
        encoder, nothing = self.encoder(), rows_of(self.batch, [])
        for mode in (True, False):
            with must("an encoder must accept 0 rows, as a process has them whose batch lacks the modality"):
                taps = encoder.train(mode)(nothing)
            self._check_taps(encoder, taps, 0)
            if any(p.requires_grad for p in encoder.parameters()):
                assert taps["pooled"].requires_grad, (
                    "0 rows must keep their gradient: compute them, don't make them anew"
                )

    def test_the_gradient_reaches_every_parameter(self) -> None:
        """No parameter is left over: one without gradient stops distributed training."""
        encoder = self.encoder().train()
        _backward(encoder(self.batch))
        missed = [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
        assert not missed, f"no tap's gradient reaches {', '.join(missed)}: use it, remove it, or freeze it"

    def test_evaluation_is_a_function_of_the_batch(self) -> None:
        """In eval mode the same batch gives the same taps, and nothing in the encoder moves."""
        with _evaluating(self.encoder()) as encoder:
            kept = copy.deepcopy(encoder.state_dict())
            first = encoder(self.batch)
            stir(5)
            assert same(dict(first), dict(encoder(self.batch))), "eval mode must switch off all chance, such as dropout"
            assert same(dict(encoder.state_dict()), dict(kept)), "a forward pass in eval mode must leave buffers alone"

    def test_rows_do_not_see_each_other_in_evaluation(self) -> None:
        """In eval mode a row's taps depend neither on its place nor on its neighbours, so that embeddings don't either."""
        batch, count = self.batch, len(self.samples)
        turned = list(range(count))[::-1]
        with _evaluating(self.encoder()) as encoder:
            whole = dict(encoder(batch))
            assert same(dict(encoder(rows_of(batch, turned))), rows_of(whole, turned), CLOSE), (
                "in eval mode rows in another order must give the same taps in that order"
            )
            for i in range(count):
                assert same(dict(encoder(rows_of(batch, [i]))), rows_of(whole, [i]), CLOSE), (
                    "in eval mode a row alone must give what it gives in a batch: normalise by running statistics or by row"
                )

    def test_two_rows_train(self) -> None:
        """The smallest batch from which BatchNorm can learn gives finite taps."""
        taps = self.encoder().train()(rows_of(self.batch, [0, 1]))
        assert all(t.isfinite().all() for t in taps.values()), "taps of 2 rows in train mode must be finite"

    def test_bf16_stays_finite(self) -> None:
        """Taps and gradients under bf16 autocast."""
        encoder = self.encoder().train()
        few = rows_of(self.batch, [0, 1])  # CPUs are slow at bf16
        with must("an encoder must run under bf16 autocast"), torch.autocast("cpu", dtype=torch.bfloat16):
            taps = encoder(few)
        assert all(t.isfinite().all() for t in taps.values()), (
            "taps under bf16 autocast must be finite: use fp32 inside"
        )
        _backward(taps)
        broken = [n for n, p in encoder.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        assert not broken, f"gradients under bf16 autocast must be finite, but not in {', '.join(broken)}"

    def test_weights_are_a_function_of_the_seed(self) -> None:
        """``torch.manual_seed`` alone decides them, as ``train.seed`` does."""
        made = []
        for other in (1, 2):
            stir(other)
            made.append(dict(self.encoder().state_dict()))
        assert same(made[0], made[1]), (
            "weights must be drawn by torch's default generator alone: one seed gave two networks"
        )

    def test_its_state_is_saved_and_loaded(self) -> None:
        """``state_dict`` through safetensors into one of other weights."""
        first, second = (self.encoder(seed).eval() for seed in (0, 1))
        file = self.folder / "encoder.safetensors"
        with must("state_dict must go through safetensors: tensors that are shared must be saved once"):
            safetensors.torch.save_file({k: t.contiguous() for k, t in first.state_dict().items()}, file)
            second.load_state_dict(safetensors.torch.load_file(file))
        self._check_equal(first, second, "after load_state_dict")

    def test_copies_are_their_own(self) -> None:
        """Momentum twins are deep copies; other processes get it pickled."""
        encoder = self.encoder().eval()
        with must("an encoder must be deep-copied, as momentum twins are"):
            twin = copy.deepcopy(encoder)
        self._check_equal(encoder, twin, "in a deep copy")
        mine = {id(p) for p in encoder.parameters()}
        shared = [name for name, p in twin.named_parameters() if id(p) in mine]
        assert not shared, f"a deep copy must have parameters of its own, but it shares {', '.join(shared)}"
        with must("an encoder must be picklable: define what it is made of at the top of a module"):
            self._check_equal(encoder, pickle.loads(pickle.dumps(encoder)), "after pickling")

    def _check_taps(self, encoder: Any, taps: Any, count: int) -> None:
        assert isinstance(taps, Mapping), f"forward must give a mapping from tap to tensor, not {type(taps).__name__}"
        assert taps.keys() == encoder.dims.keys(), (
            f"forward gives the taps {', '.join(taps)}, but dims says {', '.join(encoder.dims)}: make them equal"
        )
        for name, tap in taps.items():
            shape, dim = tuple(tap.shape), encoder.dims[name]
            ranks = (2,) if name == "pooled" else (2, 3)
            assert (tap.ndim in ranks, shape[0], shape[-1]) == (True, count, dim), (
                f"the tap {name!r} of {count} rows is {shape}, but must be ({count}, {dim})"
                f"{'' if name == 'pooled' else f' or ({count}, places, {dim})'}, as dims says"
            )

    def _check_equal(self, a: Any, b: Any, when: str) -> None:
        with torch.no_grad():
            assert same(dict(a(self.batch)), dict(b(self.batch)), 1e-6), f"taps must be the same {when}"


@contextmanager
def _evaluating(encoder: Any) -> Iterator[Any]:
    with torch.no_grad():
        yield encoder.eval()


def _backward(taps: Mapping[str, Tensor]) -> None:
    """A backward pass in which every number of every tap takes part, each with a weight of its own."""
    weigh = torch.Generator().manual_seed(0)
    sum((t.float() * torch.randn(t.shape, generator=weigh)).sum() for t in taps.values()).backward()  # type: ignore[union-attr]
