"""The mutation check of the conformance kit: every clause catches a component that breaks it, and no other clause does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core import (
    acme,
    broken_data,
    mutants_algebra,
    mutants_data,
    mutants_offers,
    mutants_readers,
    mutants_sources,
)
from tests.core.mutants import Mutant, clauses, failures
from tests.core.pulses import Net, Noise, Pulse

from contrapose import testing
from contrapose.plugins import configure, registry

TABLES = (mutants_data, mutants_readers, mutants_algebra, mutants_sources, mutants_offers)
MUTANTS: list[Mutant] = [m for table in TABLES for m in table.MUTANTS]
PUBLIC = [c for name, c in vars(testing).items() if name.endswith("Contract") and name != "Contract"]


def offer() -> None:
    """Offer what the good components are made of by name, as ``--plugin`` would."""
    for kind, name, it in (
        ("modality", "pulse", Pulse),
        ("modality", "short", broken_data.Short),
        ("view", "pulse-noise", Noise),
        ("encoder", "pulse-net", Net),
    ):
        registry().add(kind, name, it)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """A registry of its own for each test."""
    configure()
    yield
    configure()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.contract.__name__}-{m.clause}")
def test_a_mutant_is_caught_by_its_clause_alone(
    mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mutant.plugin is not None:
        acme.install(tmp_path, monkeypatch, **mutant.plugin)
    offer()
    assert list(failures(mutant.contract, mutant.changes)) == [mutant.clause]


@pytest.mark.parametrize(
    "contract",
    sorted({m.contract for m in MUTANTS}, key=lambda c: c.__name__),
)
def test_what_mutants_are_made_of_is_good(contract: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if contract.__name__.startswith("Acme"):
        acme.install(tmp_path, monkeypatch)
    offer()
    assert failures(contract, {}) == {}


@pytest.mark.parametrize("contract", PUBLIC)
def test_every_clause_has_a_mutant(contract: type) -> None:
    """A clause that a contract has from the base of all counts once, wherever it is broken."""
    shared = set(clauses(testing.Contract))
    broken = {m.clause for m in MUTANTS if issubclass(m.contract, contract)}
    anywhere = {m.clause for m in MUTANTS} & shared
    own = {c for c in clauses(contract) if getattr(contract, c) is not getattr(testing.Contract, c, None)}
    assert own - broken == set()
    assert set(clauses(contract)) - own - anywhere == set()
    assert len(PUBLIC) == 12
