"""Learnt vectors that stand for themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from contrapose.clock import Clock, Schedule, check_span
from contrapose.errors import ConfigError, did_you_mean
from contrapose.sources.base import Source, Step
from contrapose.types import Rows, ident


def _columns(name: str, count: int, device: torch.device, **more: Tensor) -> dict[str, Tensor]:
    number = torch.arange(count, device=device)
    one = torch.zeros_like(number)
    unknown = torch.full_like(number, -1)
    own = {"origin": one + ident(name), "sample": unknown, "view": one + ident(name), "position": number, "draw": one}
    return {**own, **more}


class Prototypes(Source):
    """``count`` learnt vectors (SwAV, Caron et al. 2020; DINO's last layer, Caron et al. 2021).

    Args:
        of: the table whose width they share.
        count: how many.
        unit: ``graph`` leaves them free and lets the term normalise (DINO's weight normalisation with g = 1); ``step`` sets
            them back to unit length after each optimiser step, as SwAV's code does, and takes them as they are.
        frozen: ``{epochs: n}`` or ``{steps: n}`` during which they don't move.
    """

    def __init__(
        self,
        of: str,
        count: int,
        unit: Literal["graph", "step"] = "graph",
        frozen: Mapping[str, Any] | None = None,
        name: str = "prototypes",
    ) -> None:
        super().__init__()
        check_span(frozen, "frozen")
        self.refs, self.count, self.unit, self.freeze, self.name = (of,), count, unit, frozen, name

    def setup(self, dim: Callable[[str], int], sources: Mapping[str, Source]) -> None:
        """See the base class."""
        self.weight = Parameter(torch.nn.init.trunc_normal_(torch.empty(self.count, dim(self.refs[0])), std=0.02))
        self._to_unit()

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """The prototypes, each its own position."""
        meta = _columns(self.name, self.count, self.weight.device)
        return Rows(self.weight, meta, replicated=True, ready=self.unit == "step")

    def commit(self, out: Step) -> None:
        """See ``unit``."""
        if self.unit == "step":
            self._to_unit()

    @torch.no_grad()
    def _to_unit(self) -> None:
        self.weight.copy_(F.normalize(self.weight, dim=-1))

    def frozen(self, clock: Clock) -> list[Parameter]:
        """See ``frozen`` above."""
        return [] if self.freeze is None or clock.reached(self.freeze) else [self.weight]


class Average(Source):
    """The exponential moving average of another source's parameters: a teacher's prototypes.

    Args:
        of: name of the source.
        momentum: share of the old value, may be a schedule.
    """

    weight: Tensor

    def __init__(self, of: str, momentum: Schedule = 0.996, name: str = "ema") -> None:
        super().__init__()
        self.refs, self.momentum, self.name = (of,), momentum, name

    def setup(self, dim: Callable[[str], int], sources: Mapping[str, Source]) -> None:
        """See the base class."""
        if not isinstance(getattr(sources.get(self.refs[0]), "weight", None), Parameter):
            learnt = [n for n, s in sources.items() if isinstance(getattr(s, "weight", None), Parameter)]
            raise ConfigError(
                f"{self.refs[0]!r} is no source with learnt vectors{did_you_mean(self.refs[0], learnt)}", ("of",)
            )
        self._of = [sources[self.refs[0]]]  # in a list: the other source's parameters must not be registered twice
        self.register_buffer("weight", self._source().weight.detach().clone())

    def _source(self) -> Any:
        return self._of[0]

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """The averaged vectors."""
        return Rows(self.weight, _columns(self.name, len(self.weight), self.weight.device), replicated=True)

    @torch.no_grad()
    def commit(self, out: Step) -> None:
        """Move towards the source."""
        self.weight.lerp_(self._source().weight, 1 - out.clock.at(self.momentum))


class ClassCentres(Source):
    """A learnt vector and the log prior for each class (PaCo, Cui et al. 2021, eq. 4; BCL's prototypes).

    Args:
        of: the table whose width they share.
        counts: training samples per class, or a number of classes of equal size.
        column: the column that holds the class.
        prior: add ``log(n_c / n)`` to the logits.
    """

    log_prior: Tensor

    def __init__(
        self, of: str, counts: list[int] | int, column: str = "label", prior: bool = True, name: str = "centres"
    ) -> None:
        super().__init__()
        self.refs, self.column, self.prior, self.name = (of,), column, prior, name
        numbers = (
            torch.ones(counts) if isinstance(counts, int) else torch.tensor(counts, dtype=torch.get_default_dtype())
        )
        if (numbers <= 0).any():
            raise ConfigError("counts: of a class must be positive")
        self.register_buffer("log_prior", (numbers / numbers.sum()).log())

    def setup(self, dim: Callable[[str], int], sources: Mapping[str, Source]) -> None:
        """See the base class."""
        bound = dim(self.refs[0]) ** -0.5
        self.weight = Parameter(torch.empty(len(self.log_prior), dim(self.refs[0])).uniform_(-bound, bound))

    def rows(self, out: Step, table: str = "") -> Rows | None:
        """The centres; the class is in the label's column."""
        number = torch.arange(len(self.weight), device=self.weight.device)
        meta = _columns(self.name, len(self.weight), self.weight.device, **{self.column: number})
        return Rows(
            self.weight, meta, bias=self.log_prior.to(self.weight.dtype) if self.prior else None, replicated=True
        )
