"""A head that looks ahead: from the rows of a sequence so far to those that come."""

from __future__ import annotations

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from contrapose.errors import ConfigError


class Forecast(nn.Module):
    """Predict each of the next ``steps`` positions of a sequence from all that came before (CPC, van den Oord et al. 2018).

    A GRU sums the positions up to t into a context c_t, and a linear map W_k for each k predicts position t + k (figure 1 and
    eq. 3). Contexts are those positions that have all ``steps`` ahead of them, as in the authors' code. Each prediction is a row
    with the columns ``target``, the position t + k that it speaks of, and ``step``, its k.

    Args:
        dim: width of the input.
        out: width of the predictions.
        steps: how far ahead.
        hidden: width of the context.
    """

    def __init__(self, dim: int, out: int = 256, steps: int = 12, hidden: int = 256) -> None:
        super().__init__()
        if steps < 1:
            raise ConfigError(f"looks at least 1 step ahead, not {steps}", ("steps",))
        self.context = nn.GRU(dim, hidden, batch_first=True)
        self.ahead = nn.Linear(hidden, steps * out, bias=False)  # W_1 to W_K, one below the other
        self.steps, self.out = steps, out

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(n, P, dim) in the order of time to (n, (P - steps) * steps, out), and its columns.

        Raises ``ConfigError`` for a sequence without a position that has all steps ahead of it, or for no sequence at all.
        """
        if x.ndim != 3:
            raise ConfigError(
                "a forecast needs positions in the order of time: give the branch such a tap (tap: dense)"
            )
        contexts = x.shape[1] - self.steps
        if contexts < 1:
            raise ConfigError(f"{self.steps} steps ahead need more than {x.shape[1]} positions: set steps lower")
        c, _ = self.context(x)
        made = rearrange(self.ahead(c[:, :contexts]), "n t (k d) -> n (t k) d", k=self.steps)
        t, k = torch.arange(contexts, device=x.device), torch.arange(1, self.steps + 1, device=x.device)
        columns = {"target": (t[:, None] + k).flatten(), "step": k.repeat(contexts)}
        return made, {name: repeat(column, "p -> n p", n=len(x)) for name, column in columns.items()}
