"""``evaluate`` on a stand-in run of two invented modalities, whose embeddings the test makes."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from contrapose.config.schema import EvaluateConfig, validate
from contrapose.engine.embed import Embeddings
from contrapose.errors import ConfigError, DataError, PluginError
from contrapose.evaluate import Embedded, Score, Table, evaluate
from contrapose.evaluate.builtin import linear_probe, nearest_neighbours
from contrapose.evaluate.evaluate import chosen, row
from contrapose.plugins import registry
from contrapose.plugins.registry import configure

NOTE_MISSING = 5  # test rows without a note


@dataclass
class Run:
    """Embeddings of ``noise`` around what the two modalities share; ``columns`` as a reader gives them."""

    dir: Path
    noise: float = 0.3
    columns: bool = True
    options: dict | None = None
    asked: list = field(default_factory=list)

    @property
    def config(self):
        return SimpleNamespace(
            run=SimpleNamespace(evaluate=validate(self.options or {}, EvaluateConfig, ("evaluate",)))
        )

    def reader(self, split):
        return split

    def untrained(self):
        return Run(self.dir, 30.0, self.columns, self.options)

    def embed(self, split, head):
        self.asked.append((split, head))
        rng = np.random.default_rng(len(split))
        n = 60 if split == "train" else 40
        label = rng.integers(3, size=n)
        shared = 2 * np.eye(8)[label] + rng.normal(size=(n, 8))
        ids = rng.permutation(n) + (0 if split == "train" else 1000)
        group = rng.integers(12, size=n)
        label[:2], group[:2] = -1, -1  # empty cells
        columns = {"label": label, "group": group} if self.columns else {}
        made = {}
        for modality, start in (("wave", 0), ("note", NOTE_MISSING)):
            z = (shared + self.noise * rng.normal(size=shared.shape)).astype(np.float32)
            part = {k: c[start:] for k, c in columns.items()}
            made[modality] = Embeddings(ids[start:], z[start:], part)
        made["empty"] = Embeddings(ids[:0], np.zeros((0, 3), np.float32), {})
        return made


@pytest.fixture(autouse=True)
def fresh_registry():
    yield
    configure()


def test_every_direction_and_modality_is_reported_against_untrained(tmp_path):
    found = evaluate(Run(tmp_path), draws=300)
    for direction in ("wave → note", "note → wave"):
        r = found.row("R@10", direction)
        assert r.queries == 40 - NOTE_MISSING  # the fixed gallery: rows that have both
        assert r.chance == pytest.approx(10 / 35)
        assert r.interval[0] <= r.value <= r.interval[1]
        assert r.value > 0.8 > 2 * r.untrained
        assert r.gain == pytest.approx(r.value - r.untrained)
        assert r.gain_interval[0] > 0
        assert r.improved is True
        rank = found.row("median rank", direction)
        assert rank.chance == 18
        assert rank.gain < 0
        assert rank.improved is True  # fewer is better
    for metric in ("kNN", "linear probe", "linear SVM"):
        r = found.row(metric, "wave")
        assert r.value > r.chance
        assert r.gain_interval[0] > 0
        assert r.queries == 38  # rows without a label are left out
        assert found.row(metric, "note").queries == 35
    themselves = [found.row("kNN", f"{m} → {m}") for m in ("wave", "note")]
    each = found.row("kNN", "each → itself")
    assert each.queries == 38
    assert min(r.value for r in themselves) <= each.value <= max(r.value for r in themselves)
    assert each.gain_interval[0] > 0
    assert found.row("alignment", "wave – note").gain < 0
    assert found.row("effective rank", "wave").interval is None
    with pytest.raises(KeyError, match="R@2"):
        found.row("R@2", "wave → note")


def test_the_saved_file_holds_every_number_and_what_made_it(tmp_path):
    few = {"evaluators": ["retrieval", "knn"]}
    found = evaluate(Run(tmp_path, options=few), seed=3, draws=100)
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert (saved["seed"], saved["draws"], saved["split"]) == (3, 100, "test")
    assert saved["sizes"] == {"test": {"wave": 40, "note": 35}, "train": {"wave": 60, "note": 55}}
    assert [(r["metric"], r["of"], r["value"]) for r in saved["rows"]] == [
        (r.metric, r.of, r.value) for r in found.rows
    ]
    again = evaluate(Run(tmp_path, options=few), seed=3, draws=100)
    assert again.to_dict() == saved == found.to_dict()


@pytest.mark.parametrize("baseline", [True, False])
def test_the_table_fits_80_columns_and_hides_what_there_isnt(tmp_path, baseline):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(evaluate(Run(tmp_path), baseline=baseline, draws=100))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "wave → note" in text
    assert ("untrained" in text) is baseline


def test_nothing_is_embedded_twice_and_train_only_for_labels(tmp_path):
    run = Run(tmp_path)
    evaluate(run, baseline=False, draws=10)
    assert sorted(run.asked) == [(s, h) for s in ("test", "train") for h in ("pooled", "projected")]
    plain = Run(tmp_path, columns=False)
    found = evaluate(plain, baseline=False, draws=10)
    assert {r.evaluator for r in found.rows} == {"retrieval", "geometry"}
    assert found.row("R@1", "wave → note").groups == 35  # without groups each row is its own


def test_the_config_chooses_and_a_plugins_evaluator_runs(tmp_path):
    registry().add(
        "evaluator", "mine", lambda e: [Score("rows", "wave", len(e.tables(e.split, "pooled")["wave"]) * 1.0)]
    )
    assert "mine" in chosen(None)
    assert "label-retrieval" not in chosen(None)
    listed = evaluate(Run(tmp_path, options={"evaluators": ["label-retrieval"]}), draws=10)
    assert listed.row("class R@50", "wave").gain_interval is not None
    found = evaluate(Run(tmp_path, options={"evaluators": ["mine", "knn"]}), draws=10)
    assert {r.evaluator for r in found.rows} == {"mine", "knn"}
    assert found.row("rows", "wave").value == 40
    assert found.row("rows", "wave").untrained == 40
    with pytest.raises(PluginError, match="did you mean 'knn'"):
        evaluate(Run(tmp_path, options={"evaluators": ["kn"]}))
    with pytest.raises(ConfigError, match="did you mean 'evaluators'"):
        evaluate(Run(tmp_path, options={"evaluator": ["knn"]}))
    registry().add("evaluator", "broken", lambda e: 1 / 0)
    with pytest.raises(PluginError, match="the evaluator 'broken' failed: ZeroDivisionError"):
        evaluate(Run(tmp_path, options={"evaluators": ["broken"]}))


def test_diverged_empty_and_fractional_runs_are_refused(tmp_path):
    class Diverged(Run):
        def embed(self, split, head):
            made = super().embed(split, head)
            made["note"].z[3] = np.nan
            return made

    class Empty(Run):
        def embed(self, split, head):
            return {"empty": super().embed(split, head)["empty"]}

    class Fractions(Run):
        def embed(self, split, head):
            made = super().embed(split, head)
            made["note"].columns["label"] = made["note"].columns["label"] + 0.5
            return made

    with pytest.raises(DataError, match="1 of 35 embeddings of note aren't finite"):
        evaluate(Diverged(tmp_path))
    with pytest.raises(DataError, match="no rows"):
        evaluate(Empty(tmp_path))
    with pytest.raises(ConfigError, match="a label is a class") as caught:
        evaluate(Fractions(tmp_path))
    assert caught.value.path == ("meta", "label")


def split_of(labels, z=None):
    z = torch.eye(len(labels)) if z is None else z
    return Table(z, np.arange(len(labels)), np.array(labels, float))


def test_a_class_that_train_lacks_counts_as_wrong_and_is_said():
    near = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])
    parts = {"train": split_of([0, 0, 1, 1], near), "test": split_of([0, 5, 1, np.nan], near)}
    for evaluator in (nearest_neighbours, linear_probe):
        (score,) = evaluator(Embedded(lambda split, head: {"wave": parts[split]}))
        assert score.values.tolist() == [1, 0, 1]
        assert score.chance == pytest.approx(1 / 3)
        assert "1 rows of classes that train lacks count as wrong" in score.note


def test_one_class_or_no_label_gives_no_accuracy():
    one = {"train": split_of([0, 0, 0]), "test": split_of([0, 1, 0])}
    assert nearest_neighbours(Embedded(lambda split, head: {"wave": one[split]})) == []


def test_a_difference_over_other_rows_is_not_called_paired():
    a, b = split_of([0, 0, 1]), Table(torch.eye(3), np.arange(3) + 7)
    made = row("x", Score("m", "wave", np.ones(3), a), Score("m", "wave", np.zeros(3), b))
    assert made.gain == 1
    assert made.gain_interval is None


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({"train": 1, "test": 1}, "label has one value in train"),
        ({"train": -1, "test": -1}, "label is blank in all of train"),
        ({"train": None, "test": -1}, "label is blank in all of test"),
    ],
)
def test_what_cannot_be_measured_is_told_and_the_footer_is_of_what_is_shown(tmp_path, labels, why):
    class Constant(Run):
        def embed(self, split, head):
            made = super().embed(split, head)
            for part in made.values():
                if labels[split] is not None and part.columns:
                    part.columns["label"] = np.full_like(part.columns["label"], labels[split])
            return made

    found = evaluate(Constant(tmp_path), baseline=False, draws=10)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(found)
    text = console.export_text()
    assert f"kNN, linear probe, linear SVM of wave, note: not measured, as {why}." in text
    assert "R@k in %; chance: k / gallery." in text
    assert "accuracies" not in text
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert any(line.endswith(f"as {why}.") for line in saved["unmeasured"])


@pytest.mark.parametrize(
    ("names", "footer"),
    [
        (["knn"], "Accuracies in %; chance: train's commonest class."),
        (["retrieval", "knn"], "R@k and accuracies in %; chance: k / gallery, or train's commonest class."),
        (["geometry"], None),
    ],
)
def test_the_footer_speaks_of_what_is_shown(tmp_path, names, footer):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(evaluate(Run(tmp_path, options={"evaluators": names}), baseline=False, draws=10))
    text = console.export_text()
    assert footer in text if footer else "chance:" not in text
    assert "not measured" not in text
