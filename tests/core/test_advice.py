"""One noun swapped for another, from the command line too: what runs, what is an error, and what is warned of."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.algebra import CASES, HEAD, Net, merge, preset
from tests.end_to_end.waves import write_project

from contrapose import Method
from contrapose.cli import main
from contrapose.config import Config, build
from contrapose.engine.build import Parts
from contrapose.errors import ConfigError, ContraposeWarning
from contrapose.losses.pair import PairLoss
from contrapose.methods.advice import advice, repels
from contrapose.plugins import configure, registry

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"


def said(data: dict[str, Any], **modalities: str) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        method = Method.from_data(data, {m: Net(m) for m in modalities or ("pulse",)})
    lines = [str(w.message) for w in caught if w.category is ContraposeWarning]
    assert lines == [*advice(method)]
    return lines


@pytest.mark.parametrize("name", CASES)
def test_published_methods_need_no_advice(name: str) -> None:
    assert not [*advice(CASES[name].method())]


# -- queues ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"weights": "online"}, {"weights": "online", "grad": False}])
def test_a_queue_of_a_trained_branch_is_warned_of(change: dict[str, Any]) -> None:
    (line,) = said(preset("moco-v2", branches={"key": change}))
    assert "the queue 'queue' keeps keys of the branch 'key', which is trained" in line
    assert "weights: ema" in line


def test_a_queue_of_what_is_made_of_a_trained_branch_too() -> None:
    (line,) = said(preset("densecl", branches={"dense_key": {"weights": "online"}}))
    assert "'dense_queue' keeps keys of the branch 'dense_key'" in line


def test_a_queue_is_no_trouble_where_its_rows_are_no_keys_or_stand_still() -> None:
    assert not said(preset("moco-v2", branches={"key": {"weights": "frozen"}}))
    unused = preset("simclr") | {"sources": {"queue": {"use": "queue", "of": "online"}}}
    assert not said(unused)


# -- collapse ----------------------------------------------------------------------------------------------------------

SIAMESE: dict[str, Any] = {
    "branches": {"online": {"views": "*", "projector": HEAD}, "still": {"views": "*", "of": "online", "grad": False}},
    "terms": {"t": {"query": "online", "keys": ["still"], "positives": "same(sample) and not self", "loss": "cosine"}},
}
PREDICTOR = {"branches": {"online": {"predictor": HEAD}}}


def test_byol_without_a_predictor_is_warned_of() -> None:
    (line,) = said(preset("byol", branches={"online": {"predictor": None}}))
    assert "collapses" in line
    assert "set branches.online.predictor" in line
    assert not said(preset("byol"))


def test_keys_that_move_towards_the_queries_are_warned_of() -> None:
    free = merge(SIAMESE, {"branches": {"still": {"grad": True}}})
    (line,) = said(merge(free, PREDICTOR))
    assert "the keys 'still' of the term 't' stop the gradient" in line
    assert len(said(free)) == 2
    assert not said(merge(SIAMESE, PREDICTOR))


@pytest.mark.parametrize(
    "more",
    [
        {"query": "online", "keys": ["online"]},
        {"query": ["online/a", "online/b"], "loss": "vicreg"},
        {"query": "online", "loss": {"use": "reconstruct", "target": "a", "features": 20}},
    ],
)
def test_what_pushes_rows_apart_beside_it_is_enough(more: dict[str, Any]) -> None:
    assert said(SIAMESE)
    assert not said(merge(SIAMESE, {"terms": {"more": more}}))


def test_a_teacher_that_stands_still_is_no_collapse() -> None:
    assert not said(merge(SIAMESE, {"branches": {"still": {"weights": "frozen"}}}))
    taught = {
        "branches": {"a": {"views": "text/*"}, "b": {"views": "video/*", "weights": "frozen"}},
        "terms": {"t": {"query": "a", "keys": ["b"], "positives": "same(sample)", "loss": "cosine"}},
    }
    assert not said(taught, text="", video="")


def test_a_loss_repels_if_a_negative_moves_it() -> None:
    losses = {"cosine": False, "nce": True, "sigmoid": True}
    losses |= {o.name: True for o in registry().offers("loss") if o.name not in losses}
    for name, wanted in losses.items():
        try:
            loss = build("loss", name)
        except ConfigError:  # needs arguments
            continue
        if isinstance(loss, PairLoss):
            assert repels(loss) == wanted, name
    for negatives in ("debiased", "hard"):
        assert repels(build("loss", {"use": "nce", "negatives": negatives}))
    for denominator in ("negatives", "own"):
        assert repels(build("loss", {"use": "nce", "denominator": denominator}))


# -- from the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    yield write_project(tmp_path / "project")
    configure()


def method_of(project: Path, *overrides: str) -> Method:
    return Parts(Config.load(project, overrides)).make_method()


RUNS = [
    ("moco-v2", "terms.info_nce.loss={use: nce, denominator: negatives}"),  # DCL
    ("moco-v2", "terms.info_nce.loss.denominator=negatives"),
    ("moco-v2", "terms.info_nce.loss=sigmoid"),
    ("moco-v2", "terms.info_nce.positives=(same(sample) or same(label)) and origin(key)"),
    ("moco-v2", "sources.queue={use: bank, of: key}"),
    ("moco-v2", "branches.online.predictor=mlp"),
    ("simclr", "terms.nt_xent.positives=same(label) and not self"),
    ("simclr", "terms.nt_xent.attract={use: von-mises, query: online, key: online}"),
    ("simclr", "branches.online.projector={use: slice, out: 8}"),
    ("byol", "terms.predict.loss=nce"),
    ("supcon", "terms.supcon.loss={use: nce, positives: in}"),
    ("pirl", "negatives=16"),
    ("mixco", "terms.mixed.tau=1.0"),
]


@pytest.mark.parametrize(("name", "change"), RUNS)
def test_one_noun_is_swapped_by_one_override(project: Path, name: str, change: str) -> None:
    parts = Parts(Config.load(project, [f"method={name}", f"method.{change}"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ContraposeWarning)
        method = parts.make_method()
    method.clock.start(2, 1)
    data = next(iter(parts.train_loader()))
    for _ in range(2):
        method.loss(data).loss.backward()
        method.advance()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in method.encoders["wave"].parameters())


WRONG = [
    ("moco-v2", "terms.info_nce.loss=vicreg", "compares 2 tables"),
    ("moco-v2", "terms.info_nce.loss=cosin", "did you mean 'cosine'"),
    ("moco-v2", "terms.info_nce.loss={use: nce, positives: inside}", "expected one of 'out'"),
    ("moco-v2", "terms.info_nce.loss.positivs=in", "did you mean 'positives'"),
    ("moco-v2", "terms.info_nce.keys=[key, quueu]", "did you mean 'queue'"),
    ("moco-v2", "terms.info_nce.positives=same(sample) and origin(keys)", r"origin\(keys\).*did you mean 'key'"),
    ("moco-v2", "sources.queue={use: prototypes}", "needs 'of'"),
    ("moco-v2", "sources=null", "there is no branch or source 'queue'"),
    ("moco-v2", "branches.key.of=null", "name it with of"),
    ("dino", "terms.distil.keys=[prototypes, student]", "over one table of keys"),
    ("dino", "sources.targets.of=student", "learnt vectors"),
    ("simclr", "branches.online.tap=dense", "no tap 'dense'"),
    ("simclr", "branches.online.fold=1", "at least 2 views"),
    ("cpc", "terms.ahead.tau=1.0", "no tap 'dense'"),
]


@pytest.mark.parametrize(("name", "change", "says"), WRONG)
def test_a_swap_without_sense_is_one_clear_error(project: Path, name: str, change: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        method_of(project, f"method={name}", f"method.{change}")
    assert caught.value.path[0] == "method"


def test_the_command_line_warns_in_one_line_and_goes_on(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "{use: byol, branches: {online: {projector: {hidden: 8, out: 8}, predictor: null}}}"
    command = ["train", str(project), "--plugin", str(WAVES), "--out", str(project.parent / "run")]
    assert main([*command, "--set", f"method={small}", "--set", "train.epochs=1"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(lines) == 1
    assert "branches.online.predictor" in lines[0]
