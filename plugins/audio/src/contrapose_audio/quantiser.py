"""What a clip sounds like as one of finitely many vectors: wav2vec 2.0's targets, and the loss that keeps them in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.draws import keyed_uniform
from contrapose.errors import ConfigError
from contrapose.losses.head import HeadLoss
from contrapose.losses.head import Step as Outputs
from contrapose.sources.base import Source, Step
from contrapose.types import Batch, Rows, ident
from contrapose_audio.arguments import Count, Positive


class Quantiser(Source):
    """Each row of a table as a word of each of several codebooks, side by side, through a linear layer.

    The product quantisation of wav2vec 2.0 (Baevski et al. 2020, section 2, eq. 1): in training a word is drawn by the Gumbel
    softmax, forward the drawn one alone, backward all of them; in eval mode it is the likeliest. The noise is a function of the
    row's sample, view and position and of the step, so that neither the batch nor the rank changes it. Weights begin as in
    fairseq's ``GumbelVectorQuantizer``. Rows keep their columns and get ``code``, the number of their combination of words.

    ``<name>.logits`` is a second table: of each row, the logits of all words of all codebooks (N, groups x entries).

    Args:
        of: the table.
        groups: number of codebooks, G.
        entries: words in each, V.
        width: of a combination of words; each codebook has its share of it.
        out: width of the rows.
        start: temperature of the Gumbel softmax at the beginning.
        end: the lowest that it falls to; 0.1 for the paper's large model.
        decay: its factor at each step.
    """

    def __init__(
        self,
        of: str,
        groups: Count = 2,
        entries: Count = 320,
        width: Count = 256,
        out: Count = 256,
        start: Positive = 2.0,
        end: Positive = 0.5,
        decay: Positive = 0.999995,
        name: str = "quantiser",
    ) -> None:
        super().__init__()
        if width % groups:
            raise ConfigError(f"a width of {width} can't be shared among {groups} codebooks", ("width",))
        self.refs, self.groups, self.entries, self.out, self.name = (of,), groups, entries, out, name
        self.start, self.end, self.decay = start, end, decay
        self.words = nn.Parameter(torch.rand(groups, entries, width // groups))
        self.project = nn.Linear(width, out)

    def setup(self, dim: Callable[[str], int], sources: Mapping[str, Source]) -> None:
        """See the base class."""
        self.choose = nn.Linear(dim(self.refs[0]), self.groups * self.entries)
        nn.init.normal_(self.choose.weight)
        nn.init.zeros_(self.choose.bias)

    def width(self, dim: Callable[[str], int], table: str = "") -> int:
        """See the base class."""
        if table not in ("", "logits"):
            raise ConfigError(f"there are two tables, {self.name} and {self.name}.logits")
        return self.groups * self.entries if table else self.out

    def rows(self, out: Step, table: str = "") -> Rows:
        """(N, out), or the logits."""
        rows = out.rows(self.refs[0])
        meta = {**rows.meta, "origin": torch.full_like(rows.meta["origin"], ident(self.name))}
        logits = self.choose(rows.z)
        if table == "logits":
            return replace(rows, z=logits, meta=meta, ready=False)
        each = logits.unflatten(1, (self.groups, self.entries))
        chosen, share = self._chosen(each, rows, out) if self.training else (each.argmax(-1), None)
        one = F.one_hot(chosen, self.entries).to(each.dtype)
        if share is not None:
            one = one + (share - share.detach())
        z = self.project(torch.einsum("ngv,gvd->ngd", one, self.words).flatten(1))
        place = self.entries ** torch.arange(self.groups, device=chosen.device)
        return replace(rows, z=z, meta={**meta, "code": (chosen * place).sum(1)}, ready=False)

    def _chosen(self, logits: Tensor, rows: Rows, out: Step) -> tuple[Tensor, Tensor]:
        """The words that are drawn (N, G), and the shares of all (N, G, V) by which the gradient flows."""
        keys = [rows.meta[c] for c in ("sample", "view", "position")]
        u = keyed_uniform(keys, self.groups * self.entries, out.seed, out.clock.steps, ident(self.name))
        noise = -(-u.clamp_min(1e-20).log()).log()
        tau = max(self.start * self.decay**out.clock.steps, self.end)
        share = ((logits + noise.view_as(logits).to(logits.dtype)) / tau).softmax(-1)
        return share.argmax(-1), share


class Diversity(HeadLoss):
    """How much of some codebooks is idle: 1 - (sum over them of e^H) / GV, with H the entropy of a codebook's mean choice.

    wav2vec 2.0's diversity loss as fairseq computes it; the paper's eq. 4 has -H / GV instead of the perplexity, which is
    lowest at the same place. The mean is over all rows of all processes. For a term whose query is a quantiser's ``logits``.

    Args:
        groups: how many codebooks the logits are of.
    """

    def __init__(self, groups: Count = 2) -> None:
        super().__init__()
        self.groups = groups

    def setup(self, query: str, dim: int) -> None:
        """See the base class."""
        if dim % self.groups:
            raise ConfigError(f"{dim} logits aren't those of {self.groups} codebooks", ("groups",))
        self.query = query

    def forward(self, out: Outputs, batch: Batch) -> Tensor:
        """A scalar in [0, 1)."""
        rows = out.rows(self.query, "global")
        if not len(rows):
            return rows.z.sum()
        mean = rows.z.unflatten(1, (self.groups, -1)).softmax(-1).mean(0)
        entropy = -(mean * (mean + 1e-7).log()).sum(-1)
        return 1 - entropy.exp().sum() / mean.numel()
