"""GradCache: the exact gradient of a whole batch, with no more activations at a time than those of a chunk (Gao et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from contrapose.branches.syncnorm import SyncNorm
from contrapose.errors import ConfigError
from contrapose.methods.joint import collective
from contrapose.methods.project import Part
from contrapose.types import Batch

from .randomness import chance, repeat

if TYPE_CHECKING:
    from contrapose.methods.method import Method
    from contrapose.methods.score import LossOut

Autocast = Callable[[], AbstractContextManager[object]]


def backward_in_chunks(
    method: Method, batch: Batch, chunk_size: int, *, batchnorm: bool = False, autocast: Autocast = nullcontext
) -> LossOut:
    """Add the gradient of ``method.loss(batch)`` to the parameters' ``grad``, and return that loss.

    Encoders and heads see a chunk at a time, twice: first for the tables, whose gradient the loss gives, then for their own
    (`arXiv:2101.06983 <https://arxiv.org/abs/2101.06983>`_, section 3.2). The loss, with its sources and its gathering, sees the
    whole tables, row for row those of ``method.encode(batch)``. torch's generators are set back for the second pass, so that
    dropout drops the same; what a forward pass draws from any other generator would differ between the two.

    Gradients are this process's: average them over processes afterwards (``methods.gather.average``), without a DDP wrapper.

    Args:
        method: the method.
        batch: the whole batch of this process, on the device.
        chunk_size: at most so many samples go through an encoder at once.
        batchnorm: accept BatchNorm in train mode: its statistics are a chunk's, and its running ones move once a chunk.
        autocast: gives the context in which encoders and heads run.

    Raises:
        ConfigError: a BatchNorm in train mode that isn't accepted.
    """
    require_exact(method, batchnorm)
    device = batch.sample.device
    count = _agreed(method, -(-len(batch) // chunk_size), device)
    if count <= 1:
        with autocast():
            tables = method.encode(batch)
        out = method.score(tables, batch)
        out.loss.backward()
        return out
    places = torch.arange(len(batch), device=device).tensor_split(count)  # of equal size: a small rest is slow
    chunks = [batch.take(p) for p in places]

    before, found = [], []
    for n, chunk in enumerate(chunks):
        before.append(chance(device))
        with torch.set_grad_enabled(n == 0), autocast():  # the first tells which parts have a gradient at all
            found.append({ref: _outside(of) for ref, of in method.towers.parts(chunk, method.needed).items()})
    cuts = {}
    for ref in found[0]:
        name, _, part = ref.partition(".")
        folded = bool(method.towers.branches[name].fold) and not part
        pieces = zip(*(of[ref] for of in found), strict=True)
        cuts[ref] = [_join(p, places, None if folded else batch) for p in pieces]
    out = method.score(method.towers.tables(batch, {ref: [c.part for c in of] for ref, of in cuts.items()}), batch)
    out.loss.backward()

    grads = [(ref, k, cut.grads()) for ref, of in cuts.items() for k, cut in enumerate(of)]
    buffers = [(b, b.clone()) for b in method.towers.buffers()]
    for n, chunk in enumerate(chunks):
        due = [(ref, k, by_chunk) for ref, k, by_chunk in grads if by_chunk]
        if not due:
            continue
        repeat(before[n], device)
        with autocast():
            parts = method.towers.parts(chunk, method.needed)
        made = [parts[ref][k].z for ref, k, _ in due]
        torch.autograd.backward(
            made, [g[n] if n in g else torch.zeros_like(z) for z, (*_, g) in zip(made, due, strict=True)]
        )
    for buffer, value in buffers:  # running statistics moved in the first pass
        buffer.copy_(value)
    return out


def require_exact(method: Method, batchnorm: bool) -> None:
    """Raise ``ConfigError`` for a BatchNorm that would take a chunk's statistics for the batch's, unless that is accepted.

    One that is synchronised is never accepted: processes with unequal numbers of chunks would wait for each other.
    """
    for name, module in method.towers.named_modules():
        norm = isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None)
        if norm and isinstance(module, (nn.SyncBatchNorm, SyncNorm)):
            raise ConfigError(
                f"{name} is a BatchNorm synchronised over processes, which can't work in chunks",
                ("train", "chunk_size"),
            )
        if norm and not batchnorm:
            raise ConfigError(
                f"{name} is a BatchNorm: in chunks it would see a chunk's statistics, and the gradient wouldn't be the whole "
                "batch's; take a network without it (norm: none in a head), or accept it by train.chunk_batchnorm: true",
                ("train", "chunk_size"),
            )


def _agreed(method: Method, count: int, device: torch.device) -> int:
    """The number of chunks: the most that any rank needs, where encoders and heads are a work of all ranks."""
    if not collective(method.towers):
        return count
    most = torch.tensor([count], device=device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return int(most)


@dataclass
class _Cut:
    """A part of the whole batch; ``leaf``, where its graph begins, has its rows chunk by chunk, ``sizes`` of them."""

    part: Part
    leaf: Tensor
    sizes: dict[int, int]

    def grads(self) -> dict[int, Tensor]:
        """By chunk, where the loss has reached them."""
        if self.leaf.grad is None:
            return {}
        return dict(zip(self.sizes, self.leaf.grad.split([*self.sizes.values()]), strict=True))


def _outside(parts: Sequence[Part]) -> list[tuple[Part, bool]]:
    """Parts outside the graph, and whether they had one."""
    return [(replace(p, z=p.z.detach()), p.z.requires_grad) for p in parts]


def _join(pieces: Sequence[tuple[Part, bool]], places: Sequence[Tensor], batch: Batch | None) -> _Cut:
    """A part of the whole batch from those of its chunks, in the order of the batch's view, or of samples without ``batch``."""
    # A chunk without a row doesn't know how many positions a row has. One stands for all where no chunk has any.
    having = [n for n, (part, _) in enumerate(pieces) if len(part.z)] or [0]
    parts = [pieces[n][0] for n in having]
    first, trained = pieces[0]
    leaf = torch.cat([p.z for p in parts]).requires_grad_(trained)
    index = torch.cat([p.index + places[n][:1] for n, p in zip(having, parts, strict=True)])
    order = torch.arange(len(index), device=index.device)
    if batch is not None:
        order = batch.views[first.view].index.argsort(stable=True).argsort()
    meta = {c: torch.cat([p.meta[c] for p in parts])[order] for c in parts[0].meta}
    columns = {c: torch.cat([p.columns[c] for p in parts])[order] for c in parts[0].columns}
    sizes = {n: len(p.z) for n, p in zip(having, parts, strict=True)}
    return _Cut(Part(first.view, index[order], meta, leaf[order], columns), leaf, sizes)
