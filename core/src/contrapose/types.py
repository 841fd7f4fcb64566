"""The data model: what flows from a reader to a loss. Imports nothing else of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np

IDENTITY = ("origin", "sample", "view", "position", "draw")
"""Columns (int64) that the core fills on every table. Two rows are the same row when all of them agree; -1 equals nothing."""


def ident(name: str) -> int:
    """A stable non-negative 62-bit number for a name, so that stored rows keep their origin and view over runs."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 2


def offered(columns: Iterable[str]) -> list[str]:
    """Those columns of rows that a message may offer: not the core's own (``has:branch``)."""
    return [column for column in columns if ":" not in column]


def matches(view: str, globs: Iterable[str]) -> bool:
    """Whether a view name ``modality/slot`` fits one of the globs; a glob without ``/`` speaks of the slot alone."""
    slot = view.rpartition("/")[2]
    return any(fnmatchcase(view if "/" in g else slot, g) for g in globs)


def unknown(dtype: torch.dtype) -> float | int:
    """What stands in a column where nothing is known."""
    return float("nan") if dtype.is_floating_point else -1


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing, however many modalities describe it. A missing modality is an absent key of ``data``."""

    id: int
    data: Mapping[str, Any]
    meta: Mapping[str, float | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """One sight of a sample. ``meta`` holds what its generator knows of it (time, box, mix weight)."""

    name: str
    modality: str
    data: Any
    meta: Mapping[str, float | int] = field(default_factory=dict)


@dataclass
class ViewBatch:
    """One view of those samples of a batch that have it.

    ``data`` is the modality's collated batch (``None`` where no sample has the view), ``index`` (n,) int64 gives each row's
    position in ``Batch.sample``, and each column of ``meta`` is (n,) or (n, P). ``encoded``: ``data`` are what the encoder gives of
    the view, its taps, from a cache.
    """

    data: Any
    modality: str
    index: Tensor
    meta: dict[str, Tensor] = field(default_factory=dict)
    encoded: bool = False

    def __len__(self) -> int:
        return self.index.shape[0]


@dataclass
class Batch:
    """``sample`` (B,) int64 ids, views by full name (``modality/slot``), and per-sample columns (B,) or (B, P).

    ``skipped`` lists (sample id, modality, reason) for what could not be read.
    """

    sample: Tensor
    views: dict[str, ViewBatch]
    meta: dict[str, Tensor] = field(default_factory=dict)
    skipped: list[tuple[int, str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.sample.shape[0]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch with every tensor on ``device``."""
        return self.map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, from which ``to(..., non_blocking=True)`` copies alongside the computing."""
        return self.map(Tensor.pin_memory)

    def map(self, fn: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with ``fn`` done to every tensor."""
        views = {
            name: ViewBatch(tree_map(fn, v.data), v.modality, fn(v.index), tree_map(fn, v.meta), v.encoded)
            for name, v in self.views.items()
        }
        return Batch(fn(self.sample), views, tree_map(fn, self.meta), self.skipped)

    def take(self, positions: Tensor) -> Batch:
        """The part of the batch at ``positions`` (n,) int64 of ``sample``, in their order."""
        where = torch.full((len(self),), -1, dtype=torch.long, device=self.sample.device)
        where[positions] = torch.arange(len(positions), device=self.sample.device)
        views = {}
        for name, v in self.views.items():
            new = where[v.index]
            order = torch.nonzero(new >= 0).flatten()
            order = order[torch.argsort(new[order], stable=True)]
            data = tree_take(v.data, order) if len(order) else None
            meta = {k: c[order] for k, c in v.meta.items()}
            views[name] = ViewBatch(data, v.modality, new[order], meta, v.encoded)
        return Batch(self.sample[positions], views, {k: c[positions] for k, c in self.meta.items()}, self.skipped)


@dataclass
class Rows:
    """An embedding table: all that relations and losses ever see.

    ``z`` is raw (a term normalises it): (N, D); (N, M, D) where each row is a tuple of M vectors; (Q, K, D) where
    ``private``: the keys of each query alone, with columns (Q, K). ``meta`` holds the identity columns and whatever else is
    known of the rows, (N,) or multi-valued (N, P). ``bias`` (N,) is added to the logits, ``tau`` (N,) divides them in place of
    the term's. ``replicated``: equal on every rank by construction (prototypes, queues), so never gathered.
    ``ready``: their source keeps them as a term wants them (unit vectors), so they are never normalised again.
    """

    z: Tensor
    meta: dict[str, Tensor]
    bias: Tensor | None = None
    tau: Tensor | None = None
    private: bool = False
    replicated: bool = False
    ready: bool = False

    def __len__(self) -> int:
        return self.z.shape[0]

    def take(self, index: Tensor | slice) -> Rows:
        """The rows at ``index``, with all their columns."""

        def pick(t: Tensor | None) -> Tensor | None:
            return None if t is None else t[index]

        return replace(
            self,
            z=self.z[index],
            meta={k: c[index] for k, c in self.meta.items()},
            bias=pick(self.bias),
            tau=pick(self.tau),
        )

    def with_columns(self, **columns: Tensor) -> Rows:
        """The same rows with columns added or replaced."""
        return replace(self, meta={**self.meta, **columns})

    def bare(self) -> Rows:
        """The same rows without their vectors, which have width 0 and no graph."""
        return replace(self, z=self.z.detach().flatten(1)[:, :0])

    def detach(self) -> Rows:
        """The same rows outside the graph."""
        return replace(self, z=self.z.detach())


@dataclass
class Pairs:
    """How the anchors of a tile stand to its keys.

    ``pos`` (q, k) >= 0, may be soft; ``den`` (q, k) >= 0, the weight in the partition sum, where 0 excludes; ``row`` (q,) the
    weight of the anchor in the mean; ``attract`` (q,) the weight of its positive part alone (DCLW).
    """

    pos: Tensor
    den: Tensor
    row: Tensor | None = None
    attract: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of pairs, anchors ``i`` with keys ``j``, of weight ``den``, and positives of weight ``pos`` if of one group.

    The keys ``without`` (W,), int64 and sorted, have no weight in the denominator; None where there are none.
    """

    i: slice
    j: slice
    den: float
    pos: float = 0.0
    without: Tensor | None = None

    def holds(self, i: Tensor, j: Tensor) -> Tensor:
        """Which of the pairs (P,) are within, bool (P,)."""
        return (i >= self.i.start) & (i < self.i.stop) & (j >= self.j.start) & (j < self.j.stop)


@dataclass
class Listed:
    """How anchors stand to the keys of a block where nearly all pairs are alike: the others are listed.

    ``regions`` cover all pairs and say of those that aren't listed how they stand. The listed are anchor ``i`` (P,) with key ``j``
    (P,), int64 and sorted by both, of ``pos`` (P,) and ``den`` (P,). ``groups`` are the numbers of the anchors' groups (Q,) and
    of the keys' (K,), int64 from 0, -1 for none; None where no region has positives by group.
    """

    regions: list[Region]
    i: Tensor
    j: Tensor
    pos: Tensor
    den: Tensor
    groups: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a modality would read of a table, and how: column names, and the nodes of its views and its encoder in a config."""

    columns: list[str]
    views: Any
    encoder: Any


@runtime_checkable
class Modality(Protocol):
    """What the core asks about any modality. ``root`` is the folder that relative paths in a manifest start from.

    Optional: ``extensions``, the file suffixes that it reads; ``fit(cells, root)`` with ``state_dict()`` and
    ``load_state_dict(state)``, called once with the raw cells of the training split, before anything is loaded;
    ``check_cells(cells, root)``, called with those of data that are opened, which raises ``DataError`` where they are nothing like
    those that it was fitted on; ``facts()``,
    arguments that its views and encoders get where they take them (a vocabulary's size, a schema);
    ``lengths(items)``, how long each of some loaded data is, in any unit, for ``train.buckets``;
    ``suggest(columns, root, small)``, a ``Suggestion`` for a table of which it gets some values a column, or None, sized for a
    ``small`` machine or for one with a GPU; ``load_columns(batch, root)``, an Arrow record batch of cells to a collated batch of
    its rows, which raises ``DataError`` where a single row would.

    The ``cells`` of ``fit`` and ``check_cells`` are iterated as often as one likes, a mapping by column a sample. Of tables they
    may also have ``batches()``, the same as Arrow record batches, and ``names``, all columns of the data, whoever reads them.
    """

    name: str
    dtype: torch.dtype

    def load(self, cells: Mapping[str, Any], root: Path) -> Any:
        """Manifest cells (a path, bytes, or values, by column) to data. Raises ``DataError`` in one line."""

    def collate(self, items: Sequence[Any]) -> Any:
        """Items of any raggedness to one batch: a tensor, or a dict of tensors, whose first dimension is the row."""

    def preview(self, data: Any) -> Mapping[str, bytes | str]:
        """A MIME bundle (``image/png``, ``text/html``, ...) by which a person sees the data."""


@runtime_checkable
class ViewGenerator(Protocol):
    """Makes views of a sample. ``modality`` is what it reads; its views may be of another (a rendering).

    Optional: ``makes``, that other modality; ``view_names``, the names of its views where it makes several; ``fit(samples)``
    with ``state_dict()`` and ``load_state_dict(state)``; ``batched(data, generator)``, the same distribution on a collated
    batch with a ``torch.Generator`` of its device, for a view of the same modality; ``columns``, names of the samples'
    columns that the batched form gets as a third argument, a dict of tensors (n,), as far as the data have them;
    ``refresh(look, clock)``, called at the start of each epoch, with the same two methods, its state then being a flat dict of
    tensors that checkpoints hold: look, given a view generator and the name of a table, iterates over that table batch by batch,
    for all training samples as the generator shows them; to be returned is whether other views are made from now on.

    The ``samples`` of ``fit`` are iterated as often as one likes. Where their modality has ``load_columns`` they may also have
    ``batches()``: the same, many at a time, as (collated data, columns of ``meta`` by name as arrays (n,)).
    """

    modality: str

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sequence[View]:
        """The views, a function of the sample and ``rng`` alone."""


@runtime_checkable
class Reader(Protocol):
    """A dataset: samples by position, ``reader[i].id`` stable over runs.

    Optional, where the core makes use of it: ``read(i) -> (Sample, [(modality, error)])`` for what can't be read, ``meta``
    (dtypes of the columns of ``Sample.meta``), ``ids``, ``column(name)`` and ``words(name)`` (a column as numbers, as text),
    ``subset(positions)``, ``vocabularies``, ``fingerprint()``; ``cells(modality)``, the raw cells that ``Modality.fit`` gets;
    ``only(modality)``, the same samples with that modality alone.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, i: int) -> Sample: ...


@dataclass(frozen=True, slots=True)
class Raw:
    """A sample of a stream before it is loaded: cells by column, and (what, error) for those that are broken already.

    Like `StreamReader`, not of the plugin API yet.
    """

    id: int
    cells: Mapping[str, Any]
    failed: Sequence[tuple[str, Exception]] = ()


@runtime_checkable
class StreamReader(Reader, Protocol):
    """A dataset in ``shards``, each of which can only be read from its beginning. Not of the plugin API yet: it may change.

    It has no length and no positions: asked for them, it raises ``DataError`` in one line. ``meta`` has the dtypes of the columns
    of ``Sample.meta``; ``samples`` says how many make an epoch, None where nobody said. In a batch of training ``Batch.sample``
    is the id + (pass over the data) * 2^54: a sample that comes again is another, as a batch may span two passes.
    """

    shards: Sequence[str]
    meta: Mapping[str, np.dtype]
    samples: int | None

    def rows(self, shard: int, start: int = 0) -> Iterator[Raw]:
        """The samples of a shard in its order, from the one numbered ``start`` on; their ids are shard * 2^32 + number.

        Raises ``DataError`` where the rest of the shard is damaged, ``Unreachable`` where it can't be reached.
        """

    def load(self, raw: Raw) -> tuple[Sample, list[tuple[str, Exception]]]:
        """The sample, and (modality, error) for what of it can't be read."""

    def fingerprint(self) -> str:
        """A digest of what is read: equal for equal shards and columns."""

    def __iter__(self) -> Iterator[Sample]:
        """All samples once, in the order of the shards."""


@runtime_checkable
class Encoder(Protocol):
    """An ``nn.Module`` from a collated batch to its taps ``{"pooled": (n, D), "dense": (n, P, D), ...}``; ``dims``: each D."""

    modality: str
    dims: Mapping[str, int]

    def __call__(self, data: Any) -> Mapping[str, Tensor]:
        """The taps of a collated batch."""


def tree_map(fn: Any, tree: Any) -> Any:
    """Apply ``fn`` to every tensor of nested dicts, lists and tuples; anything else passes through."""
    if isinstance(tree, Tensor):
        return fn(tree)
    if isinstance(tree, Mapping):
        return {k: tree_map(fn, v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(tree_map(fn, v) for v in tree)
    return tree


def tree_take(tree: Any, rows: Tensor) -> Any:
    """The given rows of a collated batch."""
    return tree_map(lambda t: t[rows.to(t.device)], tree)


def tree_cat(trees: Sequence[Any]) -> Any:
    """Collated batches one after the other; their tensors must agree in all but the first dimension."""
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(list(trees))
    return {k: tree_cat([t[k] for t in trees]) for k in first}


def tree_shape(tree: Any) -> Any:
    """What two batches must share to be concatenated: the shape of a row and the dtype of every tensor."""
    if isinstance(tree, Tensor):
        return (tuple(tree.shape[1:]), tree.dtype)
    return tuple((k, tree_shape(v)) for k, v in sorted(tree.items()))


def cat_rows(tables: Sequence[Rows]) -> Rows:
    """Tables one after the other; a column that one lacks is unknown there. Keys' ``bias`` and ``tau`` don't survive it."""
    if len(tables) == 1:
        return tables[0]
    columns = {name: c for t in tables for name, c in t.meta.items()}
    meta = {}
    for name, like in columns.items():
        parts = [
            t.meta[name] if name in t.meta else like.new_full((len(t), *like.shape[1:]), unknown(like.dtype))
            for t in tables
        ]
        wide = max(p.shape[1] for p in parts) if like.ndim == 2 else 0
        meta[name] = torch.cat([_widened(p, wide) if wide else p for p in parts])
    same = all(t.replicated for t in tables), all(t.ready for t in tables)
    return Rows(torch.cat([t.z for t in tables]), meta, replicated=same[0], ready=same[1])


def _widened(column: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(column, (0, width - column.shape[1]), value=unknown(column.dtype))
