"""What a head (a projector or predictor) must keep."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from contrapose.branches.heads import run
from contrapose.config import parameters
from contrapose.methods.project import head_width
from contrapose.testing.compare import must, same
from contrapose.testing.draw import ROWS, SEEDS, drawn
from contrapose.testing.module import CLOSE, ModuleContract, backward

COUNT = 5


class HeadContract(ModuleContract):
    """A head maps rows to rows of its width, in any number, each for itself once it is in eval mode.

    Attributes:
        dim: the width of what it gets.
        places: how many positions each row has, for a head that needs them: it then gets (n, places, dim) instead of (n, dim).
    """

    kind = "head"
    noun = "a head"
    gives = "row"
    dim: int = 8
    places: int | None = None

    def make(self, **facts: Any) -> Any:
        """The head, anew, for rows ``dim`` wide."""
        return super().make(**{"dim": self.dim, **facts})

    @property
    def whole(self) -> Tensor:
        """Rows drawn from a normal distribution."""
        return self.given(COUNT)

    @property
    def count(self) -> int:
        """How many rows there are."""
        return COUNT

    def given(self, count: int, seed: int = 0, *places: int) -> Tensor:
        """(count, dim) or (count, places, dim)."""
        shape = (count, *(places or (() if self.places is None else (self.places,))), self.dim)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def through(self, module: Any, data: Any) -> dict[str, Tensor]:
        """Its rows, and the columns that it tells of them."""
        made: Any = module(data)
        return {"z": made[0], **made[1]} if isinstance(made, tuple) else {"z": made}

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_is_a_module_for_any_width(self) -> None:
        """An ``nn.Module``, whose factory is told by ``dim`` how wide its rows come."""
        head = self.make()
        assert isinstance(head, nn.Module), f"a head is an nn.Module, not {type(head).__name__}"
        assert "dim" in {p.name for p in parameters(self.target)}, (
            "a head takes the width of its rows as dim, so that it fits any encoder"
        )

    @drawn(rows=ROWS, seed=SEEDS, train=st.booleans())
    def test_rows_are_as_wide_as_declared(self, rows: int, seed: int, train: bool) -> None:
        """(n, D), or (n, P, D) where each position is a row, of the width that ``out`` tells; columns have a value for each row."""
        head = self.module().train(train)
        width, x = head_width(head, self.dim), self.given(rows, seed)
        with must("a head must accept rows in any number, one too"):
            made: Any = run(
                head, x, width
            )  # as in a run: no rows don't come here, and a lone row meets running statistics
        z, columns = made if isinstance(made, tuple) else (made, {})
        assert isinstance(z, Tensor), f"a head gives a tensor, or a tensor and columns, not {type(z).__name__}"
        assert (z.ndim in (2, 3), z.shape[0], z.shape[-1]) == (True, rows, width), (
            f"{rows} rows give {tuple(z.shape)}, but must give ({rows}, {width}) or ({rows}, places, {width}), as out says"
        )
        for name, column in columns.items():
            assert column.shape == z.shape[:-1], (
                f"the column {name!r} is {tuple(column.shape)}, but must have a value for each of {tuple(z.shape[:-1])} rows"
            )

    @drawn(rows=st.integers(2, 4), places=st.integers(1, 4))
    def test_every_position_is_a_row(self, rows: int, places: int) -> None:
        """(n, P, D) gives what its n * P rows give, so that dense branches need no head of their own."""
        if self.places is not None:
            pytest.skip("this class says that it needs its positions (places)")
        x = self.given(rows, 0, places)
        head = self.module().eval()
        with torch.no_grad():
            with must("a head must accept (n, P, D), of which each position is a row"):
                made = self.through(head, x)["z"]
            wanted = self.through(head, x.flatten(0, 1))["z"]
        assert same(made.flatten(0, -2), wanted, CLOSE), "each position of (n, P, D) must give what it gives as a row"

    def test_its_rows_stay_as_they_are(self) -> None:
        """Other branches and terms read them too."""
        x = self.whole
        kept = copy.deepcopy(x)
        self.through(self.module().train(), x)
        assert same(x, kept), "a head must not change its rows in place: other branches read them too"

    def test_the_gradient_goes_through(self) -> None:
        """To the rows that it gets, so that the encoder below learns."""
        x = self.whole.requires_grad_()
        backward(self.through(self.module().train(), x))
        assert x.grad is not None, "the gradient must go through the head to its rows: detach nothing"
        assert x.grad.any(), "the gradient must go through the head to its rows: detach nothing"
