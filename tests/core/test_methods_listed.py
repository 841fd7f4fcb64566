"""What is said of the methods: the page is the presets', each column follows from the data, and listing imports nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tests.algebra import preset

from contrapose import build, registry
from contrapose.cli import main
from contrapose.losses.pair import PairLoss
from contrapose.methods.advice import repels
from contrapose.methods.describe import QUADRANTS, STORED, Facts, describe, described
from contrapose.methods.negatives import ATTRACTING, MADE, REPELLING, possible
from contrapose.plugins import Offer, Spec
from contrapose.types import Rows

ROOT = Path(__file__).resolve().parents[2]
OFFERS = [offer for offer in registry().offers("method") if offer.distribution == "contrapose"]
FILES = sorted((ROOT / "core/src/contrapose/methods/presets").glob("*.yaml"))


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("methods_page", ROOT / "docs/methods.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def facts(name: str) -> Facts:
    found = described(registry().find("method", name))
    assert found is not None
    return found


def test_the_page_is_what_the_presets_say() -> None:
    page = script()
    assert page.PAGE.read_text("utf-8") == page.page(), "the presets have changed: run make docs"


def test_the_page_gives_a_reason_for_every_component_that_one_method_uses_and_for_no_other() -> None:
    page = script()
    lone = page.alone({offer: described(offer) for offer in OFFERS})
    assert {name for _, name in lone} == set(page.REASONS)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_preset_is_offered_says_what_it_is_and_fits_forty_lines(file: Path) -> None:
    lines = file.read_text("utf-8").splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith("# ")
    assert f"contrapose.methods:presets/{file.name}" in {offer.spec.target for offer in OFFERS}


@pytest.mark.parametrize("offer", OFFERS, ids=lambda o: o.name)
def test_every_method_can_be_told(offer: Offer) -> None:
    found = described(offer)
    assert found is not None
    assert found.quadrant in QUADRANTS
    assert offer.spec.summary
    assert offer.spec.paper or offer.name == "pair-graph"


@pytest.mark.parametrize(
    ("quadrant", "names"),
    [
        (
            "synchronous, symmetric",
            "simclr supcon directclr selfcon clip siglip cmc gram symile swav barlow-twins mmcr",
        ),
        ("synchronous, asymmetric", "simsiam cpc dim"),
        ("asynchronous, symmetric", "moco-v1 moco-v2 npid dino tcl densecl paco mochi"),
        ("asynchronous, asymmetric", "byol moco-v3 pirl"),
    ],
)
def test_quadrants_are_the_literature_s(quadrant: str, names: str) -> None:
    assert {name: facts(name).quadrant for name in names.split()} == dict.fromkeys(names.split(), quadrant)


@pytest.mark.parametrize(
    ("name", "negatives"),
    [
        ("simclr", ("batch",)),
        ("moco-v2", ("queue",)),
        ("moco-v3", ("batch",)),
        ("mochi", ("queue", "synthetic")),
        ("paco", ("centres", "batch", "queue")),
        ("swav", ("prototypes",)),
        ("tcl", ("batch", "queue")),
        ("symile", ("combinations",)),
        ("triplet", ("batch",)),
        ("mmcl", ("batch",)),
        ("byol", ("none",)),
        ("simsiam", ("none",)),
        ("vicreg", ("none",)),
        ("mmcr", ("none",)),
    ],
)
def test_negatives_are_the_tables_in_the_denominator(name: str, negatives: tuple[str, ...]) -> None:
    assert facts(name).negatives == negatives


def test_positives_and_losses_are_the_terms_own_words() -> None:
    assert facts("moco-v2").positives == ("same(sample) and origin(key)",)
    assert facts("byol").positives == ("same(sample) and not same(view)",)
    assert facts("dino").positives == ("softmax of teacher",)
    assert facts("mmcr").positives == facts("vicreg").positives == ("same(sample)",)
    assert facts("hard").loss == ("nce (negatives: hard)",)
    assert facts("simsiam").loss == ("cosine (distance: false)",)
    labelled = preset("triplet", terms={"triplet": {"loss": {"same": "label"}}})
    assert describe(labelled).positives == ("same(label)",)


def test_one_line_changes_the_quadrant() -> None:
    online = {"views": "*", "projector": "mlp"}
    term = {"query": "online", "keys": ["key"], "positives": "same(sample)", "denominator": "all"}

    def of(**key: Any) -> str:
        return describe({"branches": {"online": online, "key": {"views": "*", **key}}, "terms": {"t": term}}).quadrant

    assert of(of="online") == "synchronous, symmetric"
    assert of(of="online", grad=False) == "synchronous, asymmetric"
    assert of(of="online", projector="linear") == "synchronous, asymmetric"
    assert of(of="online", weights="ema") == "asynchronous, symmetric"
    assert of(of="online", weights="ema", grad=False) == "asynchronous, symmetric"  # a twin never has one
    assert of(views="other/*", projector="linear") == "synchronous, symmetric"  # an encoder of its own


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("all", True),
        ("not self", True),
        ("positive", False),
        ("same(sample)", False),
        ("not same(sample) and has(a)", True),
        ("positive or origin(queue)", True),
        ("positive or origin(other)", False),
        ("not origin(queue)", False),
        ("not (positive or origin(queue))", False),
        ("not same(view) and not same(origin)", True),
        ("(positive or same(camera)) and not self", True),
        ("origin(queue) and not (near(time, 2.0) or view(global_*))", True),
        ("same(sample) and near(time, 1)", False),
    ],
)
def test_who_may_be_a_negative(predicate: str, expected: bool) -> None:
    assert possible(predicate, "queue") is expected


def test_the_losses_that_have_no_negatives_are_those_that_do_not_move_with_one() -> None:
    pairs = {}
    for offer in registry().offers("loss"):
        cls = registry().load("loss", offer.name)
        if isinstance(cls, type) and issubclass(cls, PairLoss):
            pairs[offer.name] = repels(build("loss", offer.name))
    assert {name for name, moves in pairs.items() if not moves} == set(ATTRACTING)


def test_a_set_loss_that_repels_falls_when_another_sample_goes_away() -> None:
    x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    away = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]])
    for name in REPELLING:
        loss = build("loss", name)
        assert loss(Rows(away, {}), Rows(away, {})) < loss(Rows(x, {}), Rows(x, {}))


def test_the_sources_that_are_named_here_are_on_offer() -> None:
    assert {*STORED, *MADE} <= {offer.name for offer in registry().offers("source")}


@pytest.mark.parametrize("spec", [Spec("broken", "no.such:thing"), Spec("made", "contrapose.methods.arch:clip")])
def test_a_method_that_cannot_be_told_is_still_listed(
    spec: Spec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from contrapose.plugins.registry import Registry

    offer, offers = Offer("method", spec.name, spec, "acme", "1"), Registry.offers
    monkeypatch.setattr(
        Registry, "offers", lambda self, kind: [*offers(self, kind), *([offer] if kind == "method" else [])]
    )
    assert described(offer) is None
    assert main(["methods"]) == 0
    assert spec.name in capsys.readouterr().out.partition("others")[2]


def test_the_command_names_all_with_their_quadrants(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    sections = [out.index(f"\n{q}\n") for q in QUADRANTS]
    assert sections == sorted(sections)
    for offer in registry().offers("method"):
        assert f"\n{offer.name} " in out, offer.name
    assert "origin(queue)" not in out.partition("moco-v2")[2].partition("\n")[0]
    assert "same(sample) and origin(key)" in out.partition("\nmoco-v2 ")[2].partition("\n")[0]


def test_listing_imports_no_torch() -> None:
    code = "import sys; from contrapose.cli import main; main(['methods']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
