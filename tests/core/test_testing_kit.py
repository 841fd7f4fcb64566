"""The conformance kit's own tests: it passes good components, and every check fails a component that is broken that way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.core import broken_data, broken_models
from tests.core.acme import install
from tests.core.pulses import (
    PULSES,
    CosineContract,
    HeadLossContract,
    Net,
    NetContract,
    Noise,
    NoiseContract,
    Pulse,
    PulseContract,
    SetContract,
)

from contrapose.plugins import configure, registry
from contrapose.testing import Contract, same_distribution

CONTRACTS: list[type[Contract]] = [
    PulseContract,
    NoiseContract,
    NetContract,
    CosineContract,
    SetContract,
    HeadLossContract,
]
BROKEN = [
    pytest.param(contract, check, component, says, id=f"{check}: {says}")
    for broken in (broken_data.BROKEN, broken_models.BROKEN)
    for contract, by_check in broken.items()
    for check, by_message in by_check.items()
    for says, component in by_message.items()
]


def checks(contract: type[Contract]) -> list[str]:
    return [name for name in dir(contract) if name.startswith("test_")]


def run(contract: type[Contract], check: str, folder: Path, **attributes: Any) -> None:
    """One check, as pytest runs it."""
    it = type("TestIt", (contract,), attributes)()
    it.folder = folder
    getattr(it, check)()


@pytest.fixture(autouse=True)
def offered() -> Iterator[None]:
    """The good components by name, as ``--plugin`` would offer them."""
    configure()
    registry().add("modality", "pulse", Pulse)
    registry().add("modality", "short", broken_data.Short)
    registry().add("view", "pulse-noise", Noise)
    registry().add("encoder", "pulse-net", Net)
    yield
    configure()


def applies(contract: type[Contract], check: str) -> bool:
    if check == "test_tiles_give_what_dense_gives":
        return contract is CosineContract
    return not hasattr(Contract, check) or check in broken_data.SHARED  # the others only an offer can keep


@pytest.mark.parametrize(
    ("contract", "check"), [(c, name) for c in CONTRACTS for name in checks(c) if applies(c, name)]
)
def test_a_good_component_passes(contract: type[Contract], check: str, tmp_path: Path) -> None:
    run(contract, check, tmp_path)


@pytest.mark.parametrize(("contract", "check", "component", "says"), BROKEN)
def test_a_broken_component_fails(
    contract: type[Contract], check: str, component: type, says: str, tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=says):
        run(contract, check, tmp_path, component=component)


def test_a_view_that_says_it_is_not_random_must_not_be(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="though this class says random = False"):
        run(NoiseContract, "test_another_rng_gives_other_views", tmp_path, random=False)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"component": None}, r'spec = "plugin/name", or component'),
        ({"cells": ()}, "give cells: at least 3 rows"),
        ({"cells": PULSES[:2]}, "give cells: at least 3 rows"),
        ({"modality": None}, 'modality = "name"'),
    ],
)
def test_what_a_class_lacks_is_said(attributes: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=says):
        run(NetContract, "test_taps_are_as_wide_as_declared", tmp_path, **attributes)


# -- what only an offer can keep -----------------------------------------------------------------------------------------

OFFERS: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "test_listing_it_imports_neither_it_nor_torch": {
        "listing acme/pulse imports numpy": ("import numpy", {}),
        "imports acme_parts: import these in": ("import acme_parts", {}),
        "imports wave": ("import wave", {"requires": "('wave',)"}),
    },
    "test_it_loads_and_says_what_it_is": {
        "a summary: one line for people": ("", {"summary": "''"}),
        "must be one line": ("", {"summary": "'a\\nb'"}),
        "must be a class or function": ("", {"target": "'tests.core.broken_data:UNPRINTABLE'"}),
    },
    "test_contrapose_show_shows_it": {
        "contrapose show modality acme/pulse": ("", {"target": "'tests.core.broken_data:Unshown'"}),
    },
    "test_it_has_a_name_and_a_dtype": {"offered as 'puls': make them equal": ("", {"name": "'puls'"})},
}


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a distribution that offers a modality and an encoder, after ``first`` in its plugin module."""
    return lambda first="", **spec: install(tmp_path, monkeypatch, first=first, **spec)


@pytest.mark.parametrize("check", OFFERS)
def test_a_good_offer_passes(acme: Callable[..., None], check: str, tmp_path: Path) -> None:
    acme()
    run(PulseContract, check, tmp_path, spec="acme/pulse")


@pytest.mark.parametrize(("check", "says"), [(check, says) for check in OFFERS for says in OFFERS[check]])
def test_a_broken_offer_fails(acme: Callable[..., None], check: str, says: str, tmp_path: Path) -> None:
    first, spec = OFFERS[check][says]
    acme(first, **spec)
    name = spec.get("name", "'pulse'").strip("'")
    with pytest.raises(AssertionError, match=says):
        run(PulseContract, check, tmp_path, spec=f"acme/{name}")


def test_an_encoder_whose_offer_hides_its_modality_fails(acme: Callable[..., None], tmp_path: Path) -> None:
    acme(encoder_modality="None")
    with pytest.raises(AssertionError, match="its Spec must say modality='pulse', not None"):
        run(NetContract, "test_it_is_a_module_that_says_what_it_reads_and_gives", tmp_path, spec="acme/net")


# -- distributions -------------------------------------------------------------------------------------------------------


def test_distributions_are_told_apart_element_by_element() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1000, 30)), rng.normal(size=(800, 30))
    assert same_distribution(a, b)
    assert same_distribution(a.reshape(1000, 5, 6), b.reshape(800, 5, 6))
    assert not same_distribution(a, b[:, :20])
    b[:, 7] *= 1.8
    assert not same_distribution(a, b)


def test_precision_is_no_difference_in_distribution() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=5)
    a, b = rng.choice(values, (1000, 8)), rng.choice(values, (1000, 8))
    assert same_distribution(a, b.astype(np.float32))


def test_nan_is_a_value_as_any_other() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2))
    a[:, 0] = b[:, 0] = np.nan
    a[rng.random(1000) < 0.3, 1] = b[rng.random(1000) < 0.3, 1] = np.nan
    assert same_distribution(a, b)
    b[rng.random(1000) < 0.3, 1] = np.nan
    assert not same_distribution(a, b)


def test_a_level_holds_for_all_elements_together() -> None:
    rng = np.random.default_rng(1)
    passed = [same_distribution(rng.normal(size=(99, 40)), rng.normal(size=(99, 40)), level=0.1) for _ in range(200)]
    assert 170 <= sum(passed) < 200  # 180 are expected, or a few more; at 10 % for each element it would be 3


# -- as a stranger meets it ----------------------------------------------------------------------------------------------

STRANGER = """
from tests.core.broken_models import Leftover
from tests.core.pulses import PULSES, Pulse
from contrapose.testing import EncoderContract

class TestLeftover(EncoderContract):
    component, modality, cells = Leftover, Pulse, PULSES
"""


def test_a_strangers_file_runs_and_fails_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(STRANGER)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "-k", "gradient or named"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "AssertionError: no tap's gradient reaches unused.weight, unused.bias: use it, remove it" in done.stdout


def test_without_pytest_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['pytest'] = None\nimport contrapose.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip().endswith("contrapose.testing needs pytest: pip install 'contrapose[testing]'")
