"""What an encoder must keep."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from contrapose.testing.compare import must, same
from contrapose.testing.data import SampleContract, rows_of
from contrapose.testing.module import ModuleContract
from contrapose.types import Encoder


class EncoderContract(ModuleContract, SampleContract):
    """An encoder gives the taps that it declares, for any number of rows, each row for itself once it is in eval mode."""

    kind = "encoder"
    noun = "an encoder"
    gives = "tap"

    def module(self, seed: int = 0) -> Any:
        """The encoder, anew, with weights drawn under a seed."""
        assert self.reads  # fitted by now, so that what fitting draws comes before the weights
        return super().module(seed)

    @property
    def whole(self) -> Any:
        """A batch of all samples."""
        return self.batch

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self.samples)

    def through(self, module: Any, data: Any) -> dict[str, Tensor]:
        """Its taps."""
        return dict(module(data))

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_is_a_module_that_says_what_it_reads_and_gives(self) -> None:
        """An ``nn.Module`` with ``modality`` and ``dims``, of which ``pooled`` is one."""
        encoder = self.module()
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
        encoder, batch = self.module(), self.batch
        kept = copy.deepcopy(batch)
        for mode in (True, False):
            self._check_taps(encoder, encoder.train(mode)(batch), len(self.samples))
        assert same(batch, kept), "an encoder must not change its batch in place: other views and branches read it too"

    def test_no_rows_are_a_batch_too(self) -> None:
        """0 rows give 0 rows of the declared width with a gradient, so that ranks without a modality keep step."""
        encoder, nothing = self.module(), rows_of(self.batch, [])
        for mode in (True, False):
            with must("an encoder must accept 0 rows, as a process has them whose batch lacks the modality"):
                taps = encoder.train(mode)(nothing)
            self._check_taps(encoder, taps, 0)
            if any(p.requires_grad for p in encoder.parameters()):
                assert taps["pooled"].requires_grad, (
                    "0 rows must keep their gradient: compute them, don't make them anew"
                )

    def test_two_rows_train(self) -> None:
        """The smallest batch from which BatchNorm can learn gives finite taps."""
        taps = self.module().train()(rows_of(self.batch, [0, 1]))
        assert all(t.isfinite().all() for t in taps.values()), "taps of 2 rows in train mode must be finite"

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
