"""What a person may have overlooked in a method: combinations that run, and seldom learn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

import torch

from contrapose.branches.twin import Twin
from contrapose.losses.engine import pair_loss
from contrapose.losses.pair import Block, PairLoss
from contrapose.sources.base import Source
from contrapose.sources.queue import Queue
from contrapose.types import Pairs, Rows

if TYPE_CHECKING:
    from contrapose.methods.method import Method
    from contrapose.methods.term import BoundTerm


def advice(method: Method) -> Iterator[str]:
    """A line for each thing that a method's author may want to know."""
    terms = cast("dict[str, BoundTerm]", dict(method.terms.items()))
    yield from _stale(method, terms)
    if all(isinstance(t.loss, PairLoss) and t.relation.assigner is None and not repels(t.loss) for t in terms.values()):
        yield from _collapse(method, terms)


def _stale(method: Method, terms: dict[str, BoundTerm]) -> Iterator[str]:
    """Keys of a queue whose encoder moves as fast as the optimiser goes (He et al. 2020, section 3.2)."""
    used = dict.fromkeys(_name(key.rows) for term in terms.values() for key in term.keys)
    for name in used:
        source = method.sources[name] if name in method.sources else None
        for branch in behind(method, source.refs) if isinstance(source, Queue) else ():
            if _moves(method, branch) and method.towers.routes[branch].twin is None:
                yield (
                    f"the queue {name!r} keeps keys of the branch {branch!r}, which is trained, so that they are of encoders that "
                    f"are no more; MoCo's are of a branch with of: {branch}, weights: ema"
                )


def _collapse(method: Method, terms: dict[str, BoundTerm]) -> Iterator[str]:
    """Nothing pushes rows apart: what keeps BYOL and SimSiam from one vector for all is a predictor, and targets at rest."""
    for name, term in terms.items():
        targets = [b for b in behind(method, (k.rows for k in term.keys)) if _moves(method, b)]
        if not targets:
            continue  # a teacher that stands still
        bare = [b for b in behind(method, term.query) if b not in method.towers.predictors]
        free = [b for b in targets if method.towers.routes[b].twin is None and method.towers.branches[b].grad]
        why = "the method only attracts, and collapses to one vector for all unless"
        if bare:
            yield f"{why} the query {bare[0]!r} of the term {name!r} has a predictor: set branches.{bare[0]}.predictor: mlp"
        if free:
            yield f"{why} the keys {free[0]!r} of the term {name!r} stop the gradient: set weights: ema, or grad: false"


def repels(loss: PairLoss) -> bool:
    """Whether a loss asks for more than its positives: moving a negative changes it."""
    plan, values = _OnePositive(), []
    for negative in (-1.0, 1.0):
        keys = Rows(torch.tensor([[0.0], [negative]]), {})
        block = Block(torch.ones(1, 1), keys, lambda q, k, private: q @ k.T, 1.0, None)
        try:
            values.append(pair_loss([block], plan, loss, 1.0)[0])
        except Exception:  # the first step says what is wrong with it
            return True
    return not torch.equal(*values)


class _OnePositive:
    """One anchor with two keys, of which the first is its positive."""

    def tile(self, block: int, i: slice, j: slice) -> Pairs:
        """See ``Plan``."""
        return Pairs(torch.tensor([[1.0, 0.0]]), torch.ones(1, 2))


def behind(method: Method, refs: Iterable[str]) -> list[str]:
    """The branches behind tables, through sources too."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    rest = [*refs]
    while rest:
        name = _name(rest.pop(0))
        if name in method.towers.branches:
            found[name] = None
        elif name not in seen:
            seen.add(name)
            rest += cast(Source, method.sources[name]).refs
    return [*found]


def _moves(method: Method, branch: str) -> bool:
    """Whether a branch's encoders change in training, by the optimiser or after it."""
    route = method.towers.routes[branch]
    if route.twin is not None:
        return cast(Twin, method.towers.twins[route.twin]).momentum is not None
    return not method.towers.frozen.issuperset(route.encoders)


def _name(ref: str) -> str:
    return ref.partition("/")[0].partition(".")[0]
