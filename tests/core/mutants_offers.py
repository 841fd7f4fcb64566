"""Methods, and plugins as they are installed, of which each breaks one clause of its contract."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from tests.core.goods import HEAD, TINY, TinyContract
from tests.core.mutants import Mutant, table
from tests.core.pulses import NetContract, PulseContract
from torch import nn

from contrapose.losses.head import HeadLoss
from contrapose.sources.base import Source
from contrapose.testing import PluginContract

# -- methods ---------------------------------------------------------------------------------------------------------------


class Mean(HeadLoss):
    """The mean of a linear map, of the rows that there are."""

    def setup(self, query, dim):
        self.layer = nn.Linear(dim, 1)

    def forward(self, out, batch):
        return self.layer(out.rows("online").z).square().mean()


class Late(HeadLoss):
    """It isn't finite from the third step on."""

    def setup(self, query, dim):
        self.layer = nn.Linear(dim, 1)

    def forward(self, out, batch):
        rows = out.rows("online")
        value = out.mean(self.layer(rows.z).square().mean(-1), rows.z.new_ones(len(rows)))
        return value * (float("inf") if out.clock.steps > 1 else 1.0)


class Forgetful(Source):
    """The mean of the last step's rows, in a buffer that no checkpoint holds."""

    def __init__(self, of: str, name: str = "last") -> None:
        super().__init__()
        self.refs = (of,)
        self.register_buffer("last", torch.ones(4), persistent=False)

    def rows(self, out, table=""):
        rows = out.rows(self.refs[0], "global").detach().take(slice(0, 1))
        rows.z, rows.replicated = self.last[None].expand(len(rows), -1), True
        return rows

    def commit(self, out):
        self.last = out.rows(self.refs[0], "global").z.sum(0) + self.last


def untold(out: int = 4) -> Mapping[str, Any]:
    return TINY


def untyped(out=4):
    """A method with an argument of any type."""
    return TINY


LOSS = {**TINY["terms"]["it"], "denominator": "all"}
METHODS: dict[str, Any] = {
    "test_three_steps_are_finite": {**TINY, "terms": {"it": {"query": "online", "loss": {"use": Late}}}},
    "test_every_branch_learns": {
        **TINY,
        "branches": {**TINY["branches"], "idle": {"views": "*", "projector": HEAD}},
    },
    "test_any_batch_will_do": {**TINY, "terms": {"it": {"query": "online", "loss": {"use": Mean}}}},
    "test_it_resumes_exactly": {
        **TINY,
        "sources": {"last": {"use": Forgetful, "of": "online"}},
        "terms": {"it": {**LOSS, "keys": ["online", "last"]}},
    },
    "test_it_is_documented": untold,
    "test_its_arguments_are_named_and_typed": untyped,
}

# -- what only an offer can break ------------------------------------------------------------------------------------------

held = ModuleType("held")
vars(held).update(
    a=type("A", (PulseContract,), {"specs": {"acme/pulse": {}, "acme/Pulse": {}}}),
    b=type("B", (NetContract,), {"spec": "acme/net"}),
    c=type("C", (TinyContract,), {"specs": {"acme/tiny": {}, "acme/duo": {}}}),
)


class AcmePulse(PulseContract):
    spec = "acme/pulse"


class AcmeTiny(TinyContract):
    spec = "acme/tiny"


class AcmePlugin(PluginContract):
    plugin = "acme"
    tests = (held,)


OFFERS = [
    Mutant(AcmePulse, "test_listing_it_imports_neither_it_nor_torch", plugin={"first": "import acme_parts"}),
    Mutant(AcmePulse, "test_it_loads_and_says_what_it_is", plugin={"summary": "''"}),
    Mutant(AcmePulse, "test_contrapose_show_shows_it", plugin={"target": "'tests.core.broken_data:Unshown'"}),
    Mutant(AcmeTiny, "test_listing_it_imports_neither_it_nor_torch", plugin={"first": "import numpy"}),
    Mutant(AcmeTiny, "test_it_loads_and_says_what_it_is", plugin={"tiny_summary": "''"}),
    Mutant(AcmeTiny, "test_its_file_fits_a_page", plugin={"tiny_target": "'acme_presets:long.yaml'"}),
    Mutant(AcmeTiny, "test_it_names_its_paper", plugin={"paper": "None"}),
    Mutant(
        AcmeTiny,
        "test_contrapose_methods_tells_of_it",
        {"spec": "acme/duo", "arguments": {"out": 4}},
        {"duo_example": "None"},
    ),
    Mutant(AcmePlugin, "test_the_host_takes_it", plugin={"api": "99"}),
    Mutant(AcmePlugin, "test_listing_it_imports_nothing_else", plugin={"first": "import acme_parts"}),
    Mutant(AcmePlugin, "test_everything_on_offer_loads", plugin={"target": "'acme_parts:Nothing'"}),
    Mutant(AcmePlugin, "test_names_are_plain", plugin={"name": "'Pulse'"}),
    Mutant(AcmePlugin, "test_everything_says_what_it_is", plugin={"summary": "' '"}),
    Mutant(AcmePlugin, "test_views_and_encoders_say_what_they_read", plugin={"encoder_modality": "None"}),
    Mutant(AcmePlugin, "test_every_component_is_under_contract", {"tests": (SimpleNamespace(a=vars(held)["a"]),)}, {}),
]

MUTANTS = [*table(globals(), {TinyContract: METHODS}), *OFFERS]
