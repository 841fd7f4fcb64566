"""What docs/tabular-scarf.md says is what its runs found, and the parts of its protocol do what they say."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "examples/tabular_scarf"), str(ROOT / "examples/data")]

import r_tables  # noqa: E402
from build_tabular import Source, draw, read, split  # noqa: E402
from classify import Part, as_labelled  # noqa: E402
from compare import corrected_test, holm, over_tables, wins  # noqa: E402
from protocol import config_of, digest, one_split, parts_of, table  # noqa: E402
from scarf_page import (  # noqa: E402
    CLASSIFIERS,
    PAGE,
    PAPER,
    SETS,
    TRIED,
    accuracies,
    collect,
    gains,
    headline,
    helps,
    load,
    page,
    relative,
    verdict,
)
from tried import info_nce, stopped  # noqa: E402

SAID = table()


@pytest.fixture(scope="module")
def found() -> dict:
    return load("datasets")


@pytest.fixture(scope="module")
def wide() -> dict:
    return load("wide")


def test_the_page_is_what_the_runs_found(found: dict, wide: dict) -> None:
    assert PAGE.read_text("utf-8") == page(found, wide), "run: python examples/tabular_scarf/scarf_page.py"


@pytest.mark.parametrize("which", SETS)
def test_the_runs_are_of_the_table_as_it_is(which: str) -> None:
    found = load(which)
    assert [*found["tables"]] == SAID[which]
    for name, runs in found["tables"].items():
        assert [run["split"] for run in runs] == found["splits"]
        for run in runs:
            assert run["config"] == digest(name, run["split"], SAID), (
                f"make tabular-scarf: {name} has changed since its runs"
            )


def test_what_the_page_says_in_words(found: dict) -> None:
    assert [setting for setting in SAID["settings"] if helps(found, setting)] == ["noise"]
    assert abs(relative(found, "noise") - PAPER["noise"]) < 0.5
    assert all(abs(statistics.mean(gains(found, setting))) < 0.5 for setting in ("full", "quarter"))
    names = [*found["tables"]]
    splice, spambase, vehicle, contraceptive = map(names.index, ("splice", "spambase", "vehicle", "contraceptive"))
    assert all(gains(found, setting)[splice] > 1 for setting in SAID["settings"])
    assert all(gains(found, setting)[spambase] > 1 for setting in ("quarter", "noise"))
    assert all(gains(found, setting)[contraceptive] < 0 for setting in SAID["settings"])
    assert gains(found, "quarter")[vehicle] < -2
    for setting in SAID["settings"]:
        mean = {
            c: statistics.mean(statistics.mean(accuracies(found, n, setting, c)) for n in names) for c in CLASSIFIERS
        }
        assert max(mean, key=mean.__getitem__) == ("scarf" if setting == "noise" else "trees")


def test_what_the_page_says_of_wide_tables_in_words(wide: dict) -> None:
    assert not any(helps(wide, setting) for setting in SAID["settings"])
    assert over_tables(gains(wide, "quarter")) == pytest.approx(0.064, abs=5e-4)
    assert "| a quarter of the labels | **-2.29** | -4.40 to -0.17 |" in headline(wide)
    rows = [round(sum(of[0]["rows"].values()) * 0.7 / 4) for of in wide["tables"].values()]
    assert (min(rows), max(rows)) == (57, 175)


def test_what_the_readme_says(found: dict) -> None:
    said = (ROOT / "README.md").read_text("utf-8")
    assert "SCARF on twelve tables of at\nmost 6,000 rows gains 1.7 points (-0.1 to 3.5; p = .021)" in said
    assert "+1.68** | -0.13 to +3.50" in headline(found)


# The tables


def test_a_table_is_read_as_numbers_words_and_blanks() -> None:
    text = "a;b;c;y\n39; State-gov;2;yes\n?;Private;1;no\n"
    found = read(text, Source("p", "f", ";", header=True, words=(2,)))
    assert found == {
        "x0": [39.0, None],
        "x1": ["State-gov", "Private"],
        "x2": ["is 2", "is 1"],
        "label": ["yes", "no"],
    }
    assert [*read(text, Source("p", "f", ";", header=True, drop=(0,)))] == ["x1", "x2", "label"]
    assert read("@relation a,b\n1,yes\n", Source("p", "f")) == {"x0": [1.0], "label": ["yes"]}


def test_a_table_of_r_is_read_as_numbers_words_and_blanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": [1, 2], "n": [3, None], "f": pd.Categorical(["6", None]), "y": ["a", "b"]})
    files = {"beside.rda": {"d": frame[["id", "n", "f"]], "of": ["a", "b"]}, "within.rda": {"d": frame}}
    reader = SimpleNamespace(read_rda=lambda path: {n: of.copy() for n, of in files[path.name].items()})
    monkeypatch.setitem(sys.modules, "rdata", reader)
    (tmp_path / "r-cran-p").mkdir()
    for file, label in (("beside.rda", "of"), ("within.rda", "y")):
        found = r_tables.read_r("r-cran-p", f"p/data/{file}", label, (0,), tmp_path)
        assert found == {"x1": [3.0, None], "x2": ["is 6", None], "label": ["a", "b"]}


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(r_tables.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="no apt-get"):
        r_tables.fetch(["r-cran-p"], tmp_path)


def test_rows_are_drawn_and_split_by_class() -> None:
    whole = {"x0": [float(n) for n in range(300)], "label": ["a"] * 200 + ["b"] * 100}
    drawn = draw(whole, 150)
    assert (drawn["label"].count("a"), drawn["label"].count("b")) == (100, 50)
    assert all((x < 200) == (y == "a") for x, y in zip(drawn["x0"], drawn["label"], strict=True)), "rows stay whole"
    assert draw(whole, 300) is whole
    parts = np.array(split(whole["label"], 0))
    for of_class in (parts[:200], parts[200:]):
        shares = [(of_class == part).mean() for part in ("train", "val", "test")]
        assert shares == pytest.approx([0.7, 0.1, 0.2])
    assert split(whole["label"], 0) != split(whole["label"], 1)


# The labels


def part(rows: int = 100) -> Part:
    data = {"numeric": torch.arange(rows).float()[:, None], "categories": torch.zeros(rows, 0, dtype=torch.int64)}
    return Part(data, np.arange(rows) % 4)


def test_a_quarter_of_each_class_keeps_its_labels() -> None:
    kept = as_labelled(part(), np.random.default_rng(0), labels=0.25)
    assert np.bincount(kept.labels).tolist() == [6, 6, 6, 6]
    assert (kept.data["numeric"][:, 0].long().numpy() % 4 == kept.labels).all(), "each with its own row"


def test_noise_gives_another_class_and_leaves_the_part_alone() -> None:
    whole = part()
    noisy = as_labelled(whole, np.random.default_rng(0), noise=0.3)
    assert (noisy.labels != whole.labels).sum() == 30
    assert whole.labels.tolist() == part().labels.tolist()
    assert set(noisy.labels) == {0, 1, 2, 3}


# The statistics


def test_the_corrected_test_is_that_of_nadeau_and_bengio() -> None:
    """Differences 1, 2, 3: mean 2, standard deviation 1, t = 2 / sqrt(1/3 + 0.2/0.8) = 2.618615; two degrees of freedom."""
    t = 2 / (1 / 3 + 0.25) ** 0.5
    assert corrected_test([1, 2, 3], 0.2) == pytest.approx(
        1 - t / (t**2 + 2) ** 0.5
    )  # Student's t with 2: a closed form
    assert corrected_test([1, 2, 3], 0.2) == pytest.approx(0.120118, abs=1e-5)
    assert corrected_test([-1, -2, -3], 0.2) == corrected_test([1, 2, 3], 0.2)
    assert corrected_test([0, 0, 0], 0.2) == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])


def test_a_table_is_won_where_its_means_are_apart() -> None:
    high, low, wide = [5.0, 5.1, 4.9], [1.0, 1.1, 0.9], [0.0, 10.0, 4.0]
    assert wins([high, low, wide, [1.0, 1.0]], [low, high, low, [1.0, 1.0]]) == (1, 1)
    assert wins([[2.0, 2.0]], [[1.0, 1.0]]) == (1, 0)


def test_wilcoxon_over_tables() -> None:
    assert over_tables([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 2**6)


def made_up(gain: dict[str, float]) -> dict:
    """Seven tables, two splits each, on which SCARF gains about so much in each setting."""

    def runs(n: int) -> list:
        def of(g: float, s: int) -> dict:
            return {"control": 0.5, "scarf": 0.5 + g * (1 + n / 10 + s / 10), "logistic": 0.5, "trees": 0.5}

        return [{"accuracy": {setting: of(g, s) for setting, g in gain.items()}} for s in range(2)]

    return {"tables": {str(n): runs(n) for n in range(7)}}


def test_the_readings() -> None:
    good = made_up({"full": 0.01, "quarter": 0.02, "noise": -0.01})
    assert [helps(good, s) for s in ("full", "quarter", "noise")] == [True, True, False]
    assert verdict(good).endswith("; clearly so with a quarter of the labels.")
    assert "not shown to help with 30 %" in verdict(good)
    less = made_up({"full": 0.02, "quarter": 0.01, "noise": 0.01})
    assert verdict(less).endswith("; not clearly more so with a quarter of the labels.")


# The protocol


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = ["a", "b"] * 50
    columns = {
        "x0": [None, *rng.normal(size=99)],
        "x1": rng.normal(size=100),
        "x2": [*"uvwx"] * 25,
        "label": labels,
        "split_0": split(labels, 0),
    }
    pq.write_table(pa.table(columns), tmp_path / "tiny.parquet")
    return tmp_path / "tiny.parquet"


def short() -> dict:
    pretrain = SAID["pretrain"]
    return SAID | {
        "pretrain": {**pretrain, "train": {**pretrain["train"], "epochs": 1, "batch_size": 64}},
        "finetune": {**SAID["finetune"], "epochs": 1},
    }


def test_one_split_measures_every_classifier_in_every_setting(tiny: Path) -> None:
    run = one_split(tiny, 0, short())
    assert run["rows"] == {"train": 70, "val": 10, "test": 20}
    assert run["epochs"] == 1
    assert run["accuracy"].keys() == SAID["settings"].keys()
    for of in run["accuracy"].values():
        assert of.keys() == {"control", "scarf", "logistic", "trees"}
        assert all(0 <= share <= 1 and round(share * 20, 6) == round(share * 20) for share in of.values())
    assert one_split(tiny, 0, short())["accuracy"] == run["accuracy"], "the same again"


def test_pretraining_leaves_the_weights_it_began_with(tiny: Path) -> None:
    from pretrain import pretrain

    import contrapose as cp
    from contrapose.engine.build import Parts

    run = Parts(cp.Config.of(config_of(tiny, ["x0", "x1", "x2"], 0, short())))
    parts = parts_of(run)
    start, best, losses = pretrain(run, parts["train"].data, parts["val"].data)
    again = run.make_method().encoders["tabular"].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in start.state_dict().items())
    assert any(not torch.equal(value, again[name]) for name, value in best.state_dict().items())
    assert len(losses) == 1


def test_too_few_runs_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="too few splits yet of adult"):
        collect("datasets")


# What was tried


def test_what_the_page_says_was_tried() -> None:
    runs = [run["accuracy"]["quarter"] for run in json.loads(TRIED.read_text("utf-8")).values()]
    for ended, mean, error in (("patience 3", 1.5, 0.7), ("patience 10", 2.1, 0.7)):
        of = [run[ended]["loss"] - run["scratch"]["loss"] for run in runs]
        assert (len(of), round(statistics.mean(of), 1)) == (10, mean)
        assert round(statistics.stdev(of) / 10**0.5, 1) == error


def test_the_frameworks_loss_is_the_papers(tiny: Path) -> None:
    """On the same views, with the same weights: tried.py's few lines, and the method's term."""
    import contrapose as cp
    from contrapose.engine.build import Parts
    from contrapose.types import Batch, ViewBatch

    run = Parts(cp.Config.of(config_of(tiny, ["x0", "x1", "x2"], 0, short())))
    rows = parts_of(run)["train"].data
    corrupted = run.plan.generators["tabular.corrupted"].batched(rows, torch.Generator().manual_seed(0))
    method, every = run.make_method().eval(), torch.arange(len(rows["numeric"]))
    views = {
        f"tabular/{slot}": ViewBatch(data, "tabular", every)
        for slot, data in (("anchor", rows), ("corrupted", corrupted))
    }
    of_method = method.loss(Batch(every, views)).loss
    (head,) = method.towers.projectors.values()
    ours = info_nce(method.encoders["tabular"], head, rows, corrupted)
    torch.testing.assert_close(of_method, ours, rtol=1e-6, atol=0)
    assert not torch.isclose(ours, info_nce(method.encoders["tabular"], head, corrupted, rows), rtol=1e-5)


def test_each_rule_stops_where_it_says() -> None:
    """Validation losses 3, 1, 2, 2, 2, 0: three epochs without a better one end it before the last; shares wrong fall on."""
    curve = [(3, 0.9, 0.1), (1, 0.8, 0.2), (2, 0.7, 0.3), (2, 0.6, 0.4), (2, 0.5, 0.5), (0, 0.4, 0.6)]
    assert stopped(curve) == {"loss": 20.0, "accuracy": 60.0}


def test_what_was_tried_reads_no_test_row(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tried as module

    monkeypatch.setattr(module, "DATA", tiny.parent)
    monkeypatch.setattr(module, "STEPS", 2)
    found = module.try_out("tiny")
    assert found["steps"] == 1
    assert found["epochs"].keys() == {"3", "10", "least", "all"}
    table = pq.read_table(tiny).to_pydict()
    test = [n for n, part in enumerate(table["split_0"]) if part == "test"]
    for n in test:
        table["label"][n] = "ab"[table["label"][n] == "a"]
    pq.write_table(pa.table(table), tiny)
    assert module.try_out("tiny") == found
