"""Whatever our plugins offer of these kinds stands under a contract; a new component without one fails here."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from contrapose.plugins import Offer, registry
from contrapose.testing import Contract, EncoderContract, LossContract, MixerContract, ModalityContract, ViewContract


def held(base: type[Contract]) -> set[str]:
    """The names under a contract in the files beside this one."""
    modules = [importlib.import_module(f"tests.contract.{p.stem}") for p in Path(__file__).parent.glob("test_*.py")]
    classes = [c for m in modules for c in vars(m).values() if isinstance(c, type) and issubclass(c, base)]
    return {name for c in classes for name in (c.spec, *c.specs) if name}


@pytest.mark.parametrize("base", [ModalityContract, ViewContract, EncoderContract, LossContract])
def test_every_component_of_ours_is_under_contract(base: type[Contract]) -> None:
    offers: list[Offer] = [o for o in registry().offers(base.kind) if o.distribution.partition("-")[0] == "contrapose"]
    assert offers
    under = held(base) | (held(MixerContract) if base is ViewContract else set())  # two kinds of views
    assert {o.name for o in offers if not {o.name, o.spec.name} & under} == set()
