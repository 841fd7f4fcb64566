"""Soft positives over prototypes: a teacher's softmax, or a balanced assignment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrapose.clock import Schedule
from contrapose.relations.predicate import parse
from contrapose.relations.relation import Assigner, Soft, Step
from contrapose.types import Rows


class Softmax(Assigner):
    """``softmax((z c' - centre) / tau)`` of a teacher over prototypes (DINO, Caron et al. 2021, eqs. 1 and 4).

    Args:
        of: the teacher's table.
        to: the source of the teacher's prototypes.
        link: which teacher rows are whose targets.
        tau: temperature, may be a schedule.
        centre: momentum of the centre, the running mean of the teacher's logits, which enters after the step; None for none.
    """

    centre: Tensor

    def __init__(
        self, of: str, to: str, link: str, tau: Schedule | Mapping[str, Any] = 0.04, centre: float | None = 0.9
    ) -> None:
        super().__init__()
        self.refs, self.link, self.tau, self.momentum = (of, to), parse(link), tau, centre
        self.register_buffer("centre", torch.zeros(()))

    @torch.no_grad()
    def assign(self, out: Step) -> Soft | None:
        """Targets (T, K) of the teacher's own rows on this rank."""
        rows = out.rows(self.refs[0])
        logits = self._logits(rows, out)
        if self.momentum is not None:
            logits = logits - self.centre
        return Soft((logits / out.clock.at(self.tau)).softmax(-1), rows, self.link)

    @torch.no_grad()
    def commit(self, out: Step) -> None:
        """Move the centre."""
        rows = out.rows(self.refs[0], "global")
        if self.momentum is not None and len(rows):
            mean = self._logits(rows, out).mean(0)
            old = self.centre if self.centre.ndim else torch.zeros_like(mean)
            self.centre = old * self.momentum + mean * (1 - self.momentum)

    def _logits(self, rows: Rows, out: Step) -> Tensor:
        return out.prepared(rows) @ out.prepared(out.rows(self.refs[1], "global")).T

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}centre")
        if saved is not None and saved.shape != self.centre.shape:
            self.centre = torch.empty_like(saved, device=self.centre.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


class Sinkhorn(Assigner):
    """Targets that spread the rows of each view evenly over the prototypes (SwAV, Caron et al. 2020, eqs. 3 to 5).

    Args:
        of: the table that is assigned; each of its views on its own.
        to: the source of the prototypes.
        link: which rows are whose targets.
        queue: a source whose stored rows (of the same view) take part in the balance.
        epsilon: entropy regularisation.
        iterations: of row and column normalisation.
    """

    def __init__(
        self,
        of: str,
        to: str,
        link: str,
        queue: str | None = None,
        epsilon: float = 0.05,
        iterations: int = 3,
    ) -> None:
        super().__init__()
        self.refs = (of, to) if queue is None else (of, to, queue)
        self.link, self.queue, self.epsilon, self.iterations = parse(link), queue, epsilon, iterations

    @torch.no_grad()
    def assign(self, out: Step) -> Soft | None:
        """Targets (T, K) of this rank's rows, balanced over all ranks' rows."""
        mine, rows = out.rows(self.refs[0]), out.rows(self.refs[0], "global")
        prototypes = out.prepared(out.rows(self.refs[1], "global"))
        stored = out.rows(self.queue, "global") if self.queue else None
        targets = prototypes.new_zeros(len(rows), len(prototypes))
        for view in rows.meta["view"].unique():
            here = rows.meta["view"] == view
            scores = out.prepared(rows.take(here)) @ prototypes.T
            if stored is not None and len(stored):
                old = out.prepared(stored.take(stored.meta["view"] == view))
                scores = torch.cat([scores, old @ prototypes.T])
            targets[here] = balance(scores / self.epsilon, self.iterations)[: int(here.sum())]
        return Soft(targets[out.mine(self.refs[0])], mine, self.link)


def balance(logits: Tensor, iterations: int) -> Tensor:
    """Sinkhorn-Knopp in the log domain: (N, K) whose rows sum to 1 and whose columns tend to N / K."""
    q = logits
    for _ in range(iterations):
        q = q - q.logsumexp(0, keepdim=True)
        q = q - q.logsumexp(1, keepdim=True)
    return q.exp()
