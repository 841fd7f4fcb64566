"""The reductions of a loss in tiles: by predicates, by lists of the pairs that differ, and by a kernel for log-sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from contrapose.errors import ConfigError
from contrapose.losses.fused import FusedLogSum, kernels_on
from contrapose.losses.groups import Total, group_totals, within_groups
from contrapose.losses.logsum import LogSum
from contrapose.losses.pair import Block, Listing, PairLoss, Plan
from contrapose.losses.rectangles import rectangles
from contrapose.losses.similarity import dot
from contrapose.losses.visits import Kinds, Rest, Visit, Visits
from contrapose.types import Listed, Pairs

PROBES = (0.0, *(sign * 10.0**n for n in range(-3, 4) for sign in (1, -1)))
"""Logits at which a loss is asked what it makes of a pair."""


class Tiled:
    """A loss over blocks, in tiles of side ``side``.

    Where the plan lists the pairs that differ, tiles are filled from the list; and where the loss asks of all others nothing but
    log-sums of their logits, as NCE does, these come from a kernel (`logsum.py`), and the listed pairs are visited one by one.
    With ``fused`` the kernel is Triton's (`fused.py`), and whatever would need tiles beside it raises ``ConfigError``.
    """

    def __init__(self, blocks: Sequence[Block], plan: Plan, loss: PairLoss, side: int, fused: bool = False) -> None:
        self.blocks, self.plan, self.loss, self.side, self.fused = blocks, plan, loss, side, fused
        self.count = len(blocks[0])
        self.lists = [plan.listed(b) if isinstance(plan, Listing) else None for b in range(len(blocks))]
        if fused:
            kernels_on(blocks[0].tables[0].device)

    def own(self) -> tuple[Tensor | None, Tensor | None]:
        """The anchors' weights (Q,) in the mean, and of their positive part: what the plan says of them without any key."""
        parts = [self.plan.tile(0, i, slice(0, 0)) for i in _slices(0, self.count, self.side)]
        return _joined([p.row for p in parts]), _joined([p.attract for p in parts])

    def reduce(self, seen: dict[str, Tensor] | None, attract: Tensor | None) -> dict[str, Tensor]:
        """One pass: the reductions (Q,) by name."""
        kinds = self._kinds(seen, attract)
        if isinstance(kinds, str):
            if self.fused:
                raise ConfigError(f"loss.engine: triton can't do {kinds}; engine: tiled can")
            return Visits(self.blocks, self.loss, self._tiles, seen, attract).reduce()
        lists = [listed for listed in self.lists if listed is not None]
        kernel: LogSum | FusedLogSum | None = None
        if any(kind == "logit" for _, kind in kinds.values()):
            parts = rectangles(self.blocks, lists)
            kernel = FusedLogSum(parts, self.count) if self.fused else LogSum(parts, self.count, self.side)
        rest = Rest(kinds, _unlisted(lists, self.blocks[0].tables[0], self.count), kernel)
        found = Visits(self.blocks, self.loss, partial(self._listed, lists), seen, attract, rest).reduce()
        if any(kind.startswith("group") for _, kind in kinds.values()):
            count, total = group_totals(self.blocks, lists)
            twice = Visits(self.blocks, Total(), partial(self._listed, within_groups(lists)), None, None).reduce()
            unlisted = {
                "group's one": count - twice.get("count", 0.0),
                "group's logit": total - twice.get("sum", 0.0),
            }
            for name, (_, kind) in kinds.items():
                found[name] = found[name] + unlisted.get(kind, 0.0)
        return found

    def _kinds(self, seen: dict[str, Tensor] | None, attract: Tensor | None) -> Kinds | str:
        """What the unlisted pairs add, or a word for what makes that more than sums of logits and of their exponentials."""
        if beyond := self._beyond_products():
            return beyond
        lists = [listed for listed in self.lists if listed is not None]
        if len(lists) < len(self.lists):
            return "a relation whose pairs don't follow from few equal values"
        states = {(0.0, 0.0)}  # of pairs that are left out altogether
        for r in (r for listed in lists for r in listed.regions):
            states |= {(pos, den) for pos in (0.0, r.pos) for den in (r.den, r.den if r.without is None else 0.0)}
        if not states <= {(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)}:
            return "pairs in bulk whose weight isn't 1"
        loss = f"the loss {type(self.loss).__name__}, which asks more of pairs than log-sums"
        asked = {state: self._asked(*state, seen, attract) for state in states}
        found: Kinds = {}
        for name, (how, _) in {name: kind for state in asked.values() for name, kind in state.items()}.items():
            kinds = {state: answer[name][1] for state, answer in asked.items()}
            usual = kinds.get((0.0, 1.0), "nothing")
            group = {k for (pos, den), k in kinds.items() if pos and k != (usual if den else "nothing")}
            if kinds[0.0, 0.0] != "nothing" or usual == "other" or (how, usual) == ("sum", "logit"):
                return loss
            if group and (len(group) > 1 or usual != "nothing" or how != "sum" or not group <= {"one", "logit"}):
                return loss
            found[name] = how, f"group's {group.pop()}" if group else usual
        return found

    def _beyond_products(self) -> str | None:
        """What makes the logits more than scaled products, if anything does."""
        for b in self.blocks:
            if b.similarity is not dot:
                return f"the similarity {getattr(b.similarity, '__name__', type(b.similarity).__name__)}"
            if b.keys.private:
                return "keys that each anchor has of its own"
            if b.keys.tau is not None or b.keys.bias is not None:
                return "keys with temperatures or biases of their own"
            if b.bias is not None:
                return "a bias"
            if self.fused and torch.float64 in (b.keys.z.dtype, *(t.dtype for t in b.tables)):
                return "tables in float64"
        return None

    def _asked(self, pos: float, den: float, seen: dict[str, Tensor] | None, attract: Tensor | None) -> Kinds:
        """What a pair of these weights adds to each part, asked at all sorts of logits."""
        logits = self.blocks[0].tables[0].new_tensor([PROBES])
        one = None if attract is None else logits.new_ones(1)
        pairs = Pairs(torch.full_like(logits, pos), torch.full_like(logits, den), None, one)
        with torch.no_grad():
            parts = self.loss.parts(logits, pairs, seen and {name: logits.new_zeros(1) for name in seen})

        def kind(value: Tensor | None, weight: Tensor) -> str:
            if not weight.any():
                return "nothing"
            same = (weight == 1).all() and (value is None or value is logits)
            return ("one" if value is None else "logit") if same else "other"

        return {name: (how, kind(value, weight)) for name, (how, value, weight) in parts.items()}

    def _tiles(self) -> Iterator[Visit]:
        for b, block in enumerate(self.blocks):
            for t, (_, at) in enumerate(block.anchors()):
                for i in _slices(at.start, at.stop, self.side):
                    for j in _slices(0, block.width, self.side):
                        yield Visit(b, t, i, j, partial(self._tile, b, i, j))

    def _tile(self, b: int, i: slice, j: slice) -> Pairs:
        listed = self.lists[b]
        return self.plan.tile(b, i, j) if listed is None else _filled(listed, i, j)

    def _listed(self, lists: Sequence[Listed]) -> Iterator[Visit]:
        """The listed pairs that count for anything, so many at a time that their vectors take the room of a tile."""
        step = max(self.side**2 // max(self.blocks[0].keys.z.shape[-1], 1), 1)
        for b, listed in enumerate(lists):
            counts = (listed.pos > 0) | (listed.den > 0)
            for t, (_, at) in enumerate(self.blocks[b].anchors()):
                within = (listed.i >= at.start) & (listed.i < at.stop)
                for some in (counts & within).nonzero()[:, 0].split(step):
                    pairs = partial(Pairs, listed.pos[some, None], listed.den[some, None])
                    yield Visit(b, t, listed.i[some], listed.j[some], pairs)


def _filled(listed: Listed, i: slice, j: slice) -> Pairs:
    """A tile from a list."""
    shape = i.stop - i.start, j.stop - j.start
    pos, den = listed.pos.new_zeros(shape), listed.den.new_zeros(shape)
    for r in listed.regions:
        here = _within(r.i, i), _within(r.j, j)
        den[here] = r.den
        if r.without is not None:
            out = r.without[(r.without >= j.start) & (r.without < j.stop)]
            den[here[0], out - j.start] = 0.0
        if r.pos and listed.groups is not None:
            x, y = listed.groups[0][i][here[0], None], listed.groups[1][j][here[1]]
            pos[here] = ((x == y) & (x >= 0)).to(pos.dtype) * r.pos
    first, last = torch.searchsorted(listed.i, torch.tensor([i.start, i.stop], device=listed.i.device)).tolist()
    at = first + ((listed.j[first:last] >= j.start) & (listed.j[first:last] < j.stop)).nonzero()[:, 0]
    where = listed.i[at] - i.start, listed.j[at] - j.start
    pos[where], den[where] = listed.pos[at], listed.den[at]
    return Pairs(pos, den)


def _within(part: slice, tile: slice) -> slice:
    """The positions of ``part`` within a tile."""
    size = tile.stop - tile.start
    return slice(min(max(part.start - tile.start, 0), size), min(max(part.stop - tile.start, 0), size))


def _unlisted(lists: Sequence[Listed], like: Tensor, count: int) -> Tensor:
    """How many unlisted pairs of weight 1 each anchor has (Q,)."""
    many = like.new_zeros(count, dtype=torch.promote_types(like.dtype, torch.float32))
    for listed in lists:
        for r in listed.regions:
            inside = r.holds(listed.i, listed.j)
            many[r.i] += r.den * (r.j.stop - r.j.start)
            if r.without is not None:
                many[r.i] -= r.den * len(r.without)
                inside &= ~torch.isin(listed.j, r.without)
            many -= r.den * torch.bincount(listed.i[inside], minlength=len(many))
    return many


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [p for p in parts if p is not None]
    return torch.cat(known) if known else None


def _slices(first: int, last: int, step: int) -> Iterator[slice]:
    for start in range(first, last, step):
        yield slice(start, min(start + step, last))
