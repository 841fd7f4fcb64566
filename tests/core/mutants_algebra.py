"""Heads and relations of which each breaks one clause of its contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tests.core.goods import (
    AssignContract,
    Lens,
    LensContract,
    MineContract,
    WeighContract,
)
from tests.core.mutants import table
from tests.core.pulses import after, before, but
from torch import nn

from contrapose.relations.annotate import VonMises
from contrapose.relations.assign import Softmax
from contrapose.relations.mining import TopK
from contrapose.relations.predicate import SELF, column_of
from contrapose.relations.relation import Soft

# -- heads ---------------------------------------------------------------------------------------------------------------


class Narrow(Lens):
    """It fits one width alone."""

    def __init__(self, out: int = 3) -> None:
        super().__init__(8, out)


class Unused(Lens):
    """It has a layer that nothing uses."""

    def __init__(self, dim: int, out: int = 3) -> None:
        super().__init__(dim, out)
        self.unused = nn.Linear(2, 2)


class Drawn(Lens):
    """Weights from numpy's random state."""

    def __init__(self, dim: int, out: int = 3) -> None:
        super().__init__(dim, out)
        self.first.weight.data = torch.from_numpy(np.random.randn(6, dim)).float()


class Tied(Lens):
    """Two names for one tensor."""

    def __init__(self, dim: int, out: int = 3) -> None:
        super().__init__(dim, out)
        self.alias = self.last


class Secret(Lens):
    """It keeps something that can't be copied."""

    def __init__(self, dim: int, out: int = 3) -> None:
        super().__init__(dim, out)
        self.lines = (line for line in ())


class Boastful(Lens):
    """It says that it is wider than it is."""

    def __init__(self, dim: int, out: int = 3) -> None:
        super().__init__(dim, out)
        self.out = out + 1


def counts(self: Any, x: Any) -> None:
    self.norm.num_batches_tracked += 1


def writes(self: Any, x: Any) -> None:
    if self.training:
        x.data.mul_(2)


def sees(self: Any, made: Any, x: Any) -> Any:
    return made if self.training else made - made.flatten(0, -2).mean(0)


def roots(self: Any, made: Any, x: Any) -> Any:
    return (made - made).sqrt() if torch.is_autocast_enabled("cpu") else made


HEADS = {
    "test_it_is_a_module_for_any_width": Narrow,
    "test_rows_are_as_wide_as_declared": Boastful,
    "test_every_position_is_a_row": after(Lens, "forward", lambda self, z, x: z.flip(1) if z.ndim == 3 else z),
    "test_its_rows_stay_as_they_are": before(Lens, "forward", writes),
    "test_the_gradient_goes_through": but(Lens, forward=lambda self, x: Lens.forward(self, x.detach())),
    "test_the_gradient_reaches_every_parameter": Unused,
    "test_evaluation_is_a_function_of_the_batch": before(Lens, "forward", counts),
    "test_rows_do_not_see_each_other_in_evaluation": after(Lens, "forward", sees),
    "test_bf16_stays_finite": after(Lens, "forward", roots),
    "test_weights_are_a_function_of_the_seed": Drawn,
    "test_its_state_is_saved_and_loaded": Tied,
    "test_copies_are_their_own": Secret,
}

# -- relations -----------------------------------------------------------------------------------------------------------


class Listed(TopK):
    """Its refs are a list."""

    def __init__(self, query: str, keys: list[str], count: int) -> None:
        super().__init__(query, keys, count)
        self.refs = list(self.refs)


class Alike(TopK):
    """It finds whatever has the same label, and takes unknown for a label."""

    def column(self, q, out):
        keys = out.rows("other", "global")
        hit = q.meta["label"][:, None] == keys.meta["label"][None]
        return torch.where(hit, column_of(keys, SELF)[None], -1).long()


class Asked(Softmax):
    """It counts in a plan."""

    def __init__(self, of: str, to: str, link: str) -> None:
        super().__init__(of, to, link)
        self.register_buffer("asked", torch.zeros(()))

    def assign(self, out):
        self.asked += 1
        return super().assign(out)


class Late(Softmax):
    """Its targets are made when they are asked for."""

    def assign(self, out):
        return _Late(self, out, super().assign(out))


class _Late:
    def __init__(self, relation, out, soft):
        self.relation, self.out, self.rows, self.link = relation, out, soft.rows, soft.link

    @property
    def targets(self):
        return Softmax.assign(self.relation, self.out).targets


class Forgets(Softmax):
    """Its centre is in no checkpoint."""

    def __init__(self, of: str, to: str, link: str) -> None:
        super().__init__(of, to, link)
        self.register_buffer("centre", torch.zeros(()), persistent=False)


def by_tile(self: Any, soft: Soft, out: Any) -> Soft:
    return Soft(soft.targets, soft.rows, lambda tile: soft.link(tile) & (len(tile.q) != 2))


def without_the_first(self: Any, found: Any, q: Any, out: Any) -> Any:
    return torch.where(torch.arange(len(found))[:, None] == 0, -1, found)


RELATIONS = {
    MineContract: {
        "test_it_is_a_relation": Listed,
        "test_what_it_gives_has_a_row_for_each_anchor": after(
            TopK, "column", lambda self, found, q, out: found.double()
        ),
        "test_the_order_of_rows_does_not_matter": after(TopK, "column", without_the_first),
        "test_it_reads_the_tables_that_it_declares": before(TopK, "column", lambda self, q, out: out.rows("places")),
        "test_nothing_to_compare_with_is_nothing_found": after(
            TopK, "column", lambda self, found, q, out: found.clamp_min(0)
        ),
        "test_unknown_equals_nothing": Alike,
    },
    AssignContract: {
        "test_weights_are_finite_and_not_negative": after(
            Softmax, "assign", lambda self, soft, out: Soft(-soft.targets, soft.rows, soft.link)
        ),
        "test_tiles_give_what_dense_gives": after(Softmax, "assign", by_tile),
        "test_planning_changes_nothing": Asked,
        "test_commit_leaves_the_plan_alone": Late,
        "test_its_state_is_saved_and_loaded": Forgets,
    },
    WeighContract: {
        "test_what_it_gives_has_a_row_for_each_anchor": after(
            VonMises, "weigh", lambda self, made, q, out: torch.cat([made, made.new_ones(1)])
        ),
    },
}

MUTANTS = table(globals(), {LensContract: HEADS, **RELATIONS})
