"""What docs/tabular-scarf.md says is what its runs found, and the parts of its protocol do what they say."""

from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "examples/tabular_scarf"), str(ROOT / "examples/data")]

from build_tabular import SOURCES, Source, draw, read, split  # noqa: E402
from classify import ENDS, Part, as_labelled, finetune  # noqa: E402
from compare import corrected_test, holm, over_tables, wins  # noqa: E402
from gains import (  # noqa: E402
    CLASSIFIERS,
    INITS,
    OWN,
    PAPER,
    WAYS,
    accuracies,
    at_ten,
    collect,
    differences,
    gains,
    groups,
    helps,
    load,
    mean_of,
    relative,
    suite,
)
from openml_tables import IDS, fetched  # noqa: E402
from protocol import config_of, digest, one_split, parts_of, table  # noqa: E402
from scarf_page import PAGE, half, page, verdict  # noqa: E402

SAID = table()


@pytest.fixture(scope="module")
def found() -> dict:
    return load()


def test_the_page_is_what_the_runs_found(found: dict) -> None:
    assert PAGE.read_text("utf-8") == page(found), "run: python examples/tabular_scarf/scarf_page.py"


def test_the_runs_are_of_the_table_as_it_is(found: dict) -> None:
    assert ([*found["tables"]], [*found["apart"]], [*found["rest"]]) == (SAID["datasets"], SAID["apart"], SAID["rest"])
    assert [*found["again"]] == SAID["rest"]
    assert SAID["datasets"] + sorted(SAID["apart"]) == [*SOURCES]
    assert {len(runs) for runs in found["rest"].values()} == {SAID["rest_splits"]}
    whole = at_ten(found)
    for group in ("tables", "apart", "rest"):
        for name, runs in whole[group].items():
            assert [run["split"] for run in runs] == [*range(SAID["splits"])]
            for run in runs:
                assert run["config"] == digest(name, run["split"], SAID), (
                    f"make tabular-scarf: {name} has changed since its runs"
                )
    rows = {name: sum(of[0]["rows"].values()) for name, of in (found["apart"] | found["rest"]).items()}
    assert (rows.pop("letter-whole"), rows.pop("madelon")) == (20_000, 2_600)
    assert rows == {name: min(6_000, int(of[0])) for name, of in copies().items()}


def copies() -> dict[str, list[str]]:
    """What openml_copies.tsv says of each table: rows, columns, classes, and where it is from."""
    lines = (ROOT / "examples/data/openml_copies.tsv").read_text("utf-8").splitlines()[1:]
    return {name: [*counts, where] for name, where, *counts, _ in (line.split("\t") for line in lines)}


def p_of(found: dict, setting: str, ways: list | None = None) -> float:
    return over_tables(gains(found, setting, ways or WAYS))


def mean_gain(found: dict, setting: str, ways: list | None = None) -> float:
    return statistics.mean(gains(found, setting, ways or WAYS))


def without(found: dict, *names: str) -> dict:
    return {"tables": {name: runs for name, runs in found["tables"].items() if name not in names}}


def won(found: dict, setting: str, than: str) -> tuple[int, int]:
    return wins(*([accuracies(found, name, setting, c) for name in found["tables"]] for c in ("scarf", than)))


@pytest.fixture(scope="module")
def words() -> str:
    return " ".join(PAGE.read_text("utf-8").split())


def test_what_the_page_says_of_the_readings(found: dict, words: str) -> None:
    settings, whole = [*SAID["settings"]], suite(found)
    first, rest = {"tables": found["tables"]}, {"tables": found["rest"]}
    said = {"all 63": whole, "the 38 of copies": rest, "the 24 of packages": first}
    assert groups(found) == said
    helped = [[s for s in settings if helps(of, s)] for of in said.values()]
    assert helped == [settings, ["quarter", "noise"], ["full", "noise"]]
    shares = [100 * relative(whole, s) / PAPER[s] for s in settings]
    assert "at {:.0f}, {:.0f} and {:.0f} % of the paper's relative gains".format(*shares) in words
    assert max(settings, key=lambda s: mean_gain(whole, s)) == "quarter"
    corrected = holm([p_of(whole, s) for s in settings])
    assert "the p values of the 63 are {:.3f}, {:.3f} and < 0.001".format(*corrected) in words
    assert corrected[2] < 0.001


def test_what_the_page_says_of_ten_splits(found: dict, words: str) -> None:
    new, whole = {"tables": found["again"]}, suite(at_ten(found))
    for of in (new, whole, {"tables": at_ten(found)["rest"]}):
        assert [s for s in SAID["settings"] if helps(of, s)] == ["quarter", "noise"]
        assert mean_gain(of, "quarter") > mean_gain(of, "full")
    surer = [p_of(whole, s) < p_of(suite(found), s) for s in SAID["settings"]]
    assert surer == [False, True, True]
    corrected = holm([p_of(whole, s) for s in SAID["settings"]])
    alone = holm([p_of(new, s) for s in SAID["settings"]])
    assert f"over the three settings: {alone[1]:.3f} and {alone[2]:.3f})" in words
    others = without(whole, "dna", "splice", "madelon", "qsar-biodeg")
    assert f"(of the 63: {corrected[1]:.3f} and < 0.001; without the four tables above the other 59 gain" in words
    assert (
        f"gain {mean_gain(others, 'quarter'):.1f} with a quarter of the labels, p = {p_of(others, 'quarter'):.3f})"
        in words
    )
    assert corrected[2] < 0.001
    full = mean_gain(whole, "full")
    assert (
        f"what it was, {full:.2f} points, and its interval lies above 0, but Wilcoxon's p is {p_of(whole, 'full'):.3f}"
        in words
    )
    assert round(full, 2) == round(mean_gain(suite(found), "full"), 2)
    assert full - half(gains(whole, "full")) > 0
    first = {"tables": found["tables"] | {"madelon": found["apart"]["madelon"]}}
    assert sum(gains(first, "full")) > 0.9 * sum(gains(whole, "full")), "nearly all of it"
    assert len(first["tables"]) == 25


def test_what_the_page_says_of_few_tables(found: dict, words: str) -> None:
    whole = suite(found)
    of = dict(zip(whole["tables"], gains(whole, "quarter"), strict=True))
    largest = sorted(of, key=of.__getitem__)[:-5:-1]
    assert largest == ["dna", "splice", "madelon", "qsar-biodeg"]
    said = "dna gains {:.1f} points, splice {:.1f}, Madelon {:.1f}, qsar-biodeg {:.1f}"
    assert said.format(*(of[name] for name in largest)) in words
    others = without(whole, *largest)
    said = "the other 59 gain {:.1f} (p = {:.3f}), and the median is {:.1f}."
    assert said.format(mean_gain(others, "quarter"), p_of(others, "quarter"), statistics.median(of.values())) in words
    full = dict(zip(whole["tables"], gains(whole, "full"), strict=True))
    assert {*sorted(full, key=full.__getitem__)[-3:]} == {"car", "madelon", "tic-tac-toe"}
    others = without(whole, "car", "madelon", "tic-tac-toe")
    assert f"the other 60 gain {mean_gain(others, 'full'):.2f} (p = {p_of(others, 'full'):.3f})" in words
    assert won(whole, "noise", "scratch") == (16, 0)
    assert "16 are won, none lost, and the median is 0.4" in words
    assert round(statistics.median(gains(whole, "noise")), 1) == 0.4
    more = [of[name] - full[name] for name in of]
    assert f"it isn't shown (p = {over_tables(more):.2f})" in words
    for said, group in (
        ("Without dna the 63 gain {:.2f} with a quarter of the labels (p = {:.3f})", without(whole, "dna")),
        ("the 38 gain {:.2f} (p = {:.3f})", without({"tables": found["rest"]}, "dna")),
    ):
        assert said.format(mean_gain(group, "quarter"), p_of(group, "quarter")) in words
    others = without(whole, "madelon")
    means, ps = ([of(others, s) for s in SAID["settings"]] for of in (mean_gain, p_of))
    assert "the 62 gain {:.2f}, {:.2f} and {:.2f} (p = {:.3f}, {:.3f} and < 0.001)".format(*means, *ps[:2]) in words
    assert ps[2] < 0.001


def test_what_the_page_says_of_how_networks_start(found: dict, words: str) -> None:
    whole = suite(found)
    he, pytorch = BY_ERROR.values()
    said = "as `torch.nn.Linear` does gain {:.1f} points (p = {:.3f}), those that start as `tabular/mlp` does {:.1f} (p = {:.2f})"
    of = [f(whole, "quarter", ways) for ways in (pytorch, he) for f in (mean_gain, p_of)]
    assert said.format(*of) in words
    better, pretrained = mean_of(whole, "quarter", "scratch", he), mean_of(whole, "quarter", "scarf", pytorch)
    assert f"better from scratch, {better:.1f}, than the former pretrained, {pretrained:.1f}" in words
    wrong = [mean_gain(whole, "noise", ways) for ways in (he, pytorch)]
    assert "the latter gain more, {:.1f} points against {:.1f}".format(*wrong) in words
    stuck = {"car": "full", "dna": "quarter", "qsar-biodeg": "quarter", "splice": "quarter"}
    of = [statistics.mean(differences(whole, name, setting, ways=pytorch)) for name, setting in stuck.items()]
    assert "gains {:.0f}, {:.0f}, {:.0f} and {:.0f} points there".format(*of) in words
    # The commonest class has 70.0 % of car's rows, 51.9 % of dna's and of splice's, 66.3 % of qsar-biodeg's.
    most = {"car": 70.5, "dna": 52.5, "qsar-biodeg": 66.8, "splice": 52.5}
    for name, setting in stuck.items():
        assert statistics.median(accuracies(whole, name, setting, "scratch", [("pytorch", "error")])) < most[name]
    by_loss = [(init, end) for init in INITS for end in ENDS if end.startswith("loss")]
    assert max(mean_gain(whole, s, [way]) for s in ("full", "quarter") for way in by_loss) < 0.4
    last = [mean_gain(whole, "noise", [(i, end)]) for i in INITS for end in ENDS if end.endswith("last")]
    assert f"pretraining gains {min(last):.1f} to {max(last):.1f} points in all four ways" in words


def test_what_the_page_says_of_the_papers_own_figures(found: dict) -> None:
    alone = {"tables": found["tables"] | found["apart"]}
    shown = {name: corrected_test(differences(alone, name, "full"), 0.2) < 0.05 for name in OWN}
    assert shown == {"tic-tac-toe": False, "phoneme": False, "letter-whole": False, "madelon": True}
    full, quarter = (statistics.mean(differences(alone, "madelon", s)) for s in ("full", "quarter"))
    assert quarter < full


def test_what_the_page_says_of_others(found: dict) -> None:
    whole = suite(found)
    for setting, best in (("full", "trees"), ("quarter", "trees"), ("noise", "scarf")):
        mean = {c: mean_of(whole, setting, c) for c in CLASSIFIERS}
        assert max(mean, key=mean.__getitem__) == best
    assert won(whole, "noise", "trees")[0] == 44


BY_ERROR = {init: [(init, end) for end in ENDS if end.startswith("error")] for init in INITS}


def test_what_the_readme_says(found: dict) -> None:
    said = (ROOT / "README.md").read_text("utf-8")
    said, whole = " ".join(said.split()), suite(at_ten(found))
    told = [x for s in ("quarter", "noise", "full") for x in (mean_gain(whole, s), relative(whole, s), p_of(whole, s))]
    assert (
        "gains {:.2f} points ({:.2f} %; p {:.3f}) over the same network from scratch with a quarter of the labels, "
        "{:.2f} ({:.2f} %; p < 0.001) where 30 % are wrong, and {:.2f} ({:.2f} %; p {:.3f}, not shown) with all"
    ).format(*told[:5], *told[6:]) in said
    assert told[5] < 0.001
    assert (
        "its paper reports {:.2f}, {:.2f} and {:.2f} %".format(*(PAPER[s] for s in ("quarter", "noise", "full")))
        in said
    )


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


def test_what_only_openml_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stand-in, as nothing is fetched in a test: words become text, numbers floats, blanks None."""
    pandas, asked = pytest.importorskip("pandas"), []
    frame = pandas.DataFrame(
        {
            "age": [1, 2, 3],
            "sort": pandas.Categorical(["1", None, "2"], categories=["1", "2"]),
            "size": [0.5, None, 2.0],
        }
    )

    def fetch(**said: object) -> SimpleNamespace:
        asked.append(said["data_id"])
        return SimpleNamespace(data=frame, target=pandas.Series(["a", "b", "a"], dtype="category"))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    table = fetched("sick")
    assert asked == [38]
    assert table == {
        "x0": [1.0, 2.0, 3.0],
        "x1": ["is 1", None, "is 2"],
        "x2": [0.5, None, 2.0],
        "label": ["a", "b", "a"],
    }


def test_copies_are_said_to_come_from_somewhere() -> None:
    assert [*copies()] == SAID["rest"]
    assert {*SAID["rest"]} <= {*IDS}
    assert all(re.match(r"[\w-]+/[\w.-]+ ", where) for *_, where in copies().values())


def test_the_rest_is_taken_from_copies_and_what_cannot_be_had_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import build_tabular

    def no_way(name: str) -> None:
        raise OSError("no way there")

    monkeypatch.setattr(build_tabular, "SOURCES", {"madelon": SOURCES["madelon"]})
    monkeypatch.setattr(build_tabular, "IDS", {"sick": 38, "har": 1478})
    monkeypatch.setattr(build_tabular, "fetched", no_way)
    pq.write_table(pa.table({"x0": [1.0, 2.0] * 20, "label": ["a", "b"] * 20}), tmp_path / "sick.parquet")
    out = tmp_path / "out"
    told = ["--packages", str(tmp_path), "--rest", "--copies", str(tmp_path), "-o", str(out)]
    monkeypatch.setattr(sys, "argv", ["build_tabular.py", *told])
    build_tabular.main()
    assert capsys.readouterr().out.splitlines() == [
        "madelon: 2,600 rows, 500 columns",
        "sick: 40 rows, 1 columns",
        "har: not had: no way there",
    ]
    made = pq.read_table(out / "madelon.parquet")
    assert {*made["label"].to_pylist()} == {"-1", "1"}
    assert made["x0"].type == pa.float64()
    assert pq.read_table(out / "sick.parquet")["split_9"].to_pylist().count("train") == 28


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
    """Seven tables, two splits each, on which SCARF gains about so much in each setting, in every way alike."""

    def runs(n: int) -> list:
        def of(g: float, s: int) -> dict:
            nets = {"scratch": 0.5, "scarf": 0.5 + g * (1 + n / 10 + s / 10)}
            of_nets = {f"{net}, {init}": dict.fromkeys(ENDS, x) for net, x in nets.items() for init in INITS}
            return {**of_nets, "logistic": 0.5, "trees": 0.5}

        return [{"accuracy": {setting: of(g, s) for setting, g in gain.items()}} for s in range(2)]

    return {"tables": {str(n): runs(n) for n in range(7)}}


def test_an_accuracy_is_the_mean_over_what_the_paper_leaves_open() -> None:
    of = {
        "scarf, he": {"error": 0.1, "error, last": 0.2, "loss": 9, "loss, last": 9},
        "scarf, pytorch": {"error": 0.3, "error, last": 0.6, "loss": 9, "loss, last": 9},
        "trees": 0.7,
    }
    one = {"tables": {"t": [{"accuracy": {"full": of}}]}}
    assert accuracies(one, "t", "full", "scarf") == pytest.approx([30])
    assert accuracies(one, "t", "full", "scarf", [("pytorch", "error, last")]) == pytest.approx([60])
    assert accuracies(one, "t", "full", "trees") == pytest.approx([70])


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
    assert run["epochs"] == {"he": 1, "pytorch": 1}
    assert run["accuracy"].keys() == SAID["settings"].keys()
    nets = {f"{net}, {init}" for net in ("scratch", "scarf") for init in SAID["inits"]}
    for of in run["accuracy"].values():
        assert of.keys() == {*nets, "logistic", "trees"}
        assert all(of[net].keys() == set(ENDS) for net in nets)
        shares = [of["logistic"], of["trees"], *(share for net in nets for share in of[net].values())]
        assert all(0 <= share <= 1 and round(share * 20, 6) == round(share * 20) for share in shares)
    assert one_split(tiny, 0, short())["accuracy"] == run["accuracy"], "the same again"


@pytest.mark.parametrize("init", INITS)
def test_pretraining_leaves_the_weights_it_began_with(tiny: Path, init: str) -> None:
    from pretrain import pretrain

    import contrapose as cp
    from contrapose.engine.build import Parts

    run = Parts(cp.Config.of(config_of(tiny, ["x0", "x1", "x2"], 0, short())))
    parts = parts_of(run)
    start, best, losses = pretrain(run, parts["train"].data, parts["val"].data, init)
    own, same = run.make_method().encoders["tabular"], True
    for name, value in start.state_dict().items():
        same &= torch.equal(value, own.state_dict()[name])
        if name.endswith("weight") and init == "pytorch":
            assert float(value.abs().max()) <= value.shape[1] ** -0.5, "uniform, as torch.nn.Linear's are"
    assert same == (init == "he")
    assert any(not torch.equal(a, b) for a, b in zip(start.parameters(), best.parameters(), strict=True))
    assert len(losses) == 1


class Constant(nn.Module):
    """An encoder that tells nothing of a row."""

    dims = {"pooled": 1}  # noqa: RUF012

    def forward(self, data: dict) -> dict:
        """Ones."""
        return {"pooled": torch.ones(len(data["numeric"]), 1)}


def test_fine_tuning_ends_by_each_rule_and_keeps_the_best_and_the_last() -> None:
    """All rows of training are of class 1, of validation half: error stays, as all are called 1; the loss is least at once."""
    train, val = part(), part()
    train.labels[:] = 1
    val.labels[:] = np.arange(100) % 2
    said = SAID["finetune"] | {"lr": 0.1}
    nets = finetune(Constant(), train, val, 2, 0, said)
    assert nets.keys() == set(ENDS)
    assert [of for of in nets.values() if of.training] == []

    def loss(end: str) -> float:
        with torch.no_grad():
            return float(F.cross_entropy(nets[end](val.data), torch.from_numpy(val.labels)))

    assert loss("loss") < loss("loss, last"), "three epochs more make it surer of class 1"
    assert loss("error") < loss("error, last")
    short = finetune(Constant(), train, val, 2, 0, said | {"epochs": 1})
    assert all(
        torch.equal(a, b) for a, b in zip(short["error"].parameters(), short["loss, last"].parameters(), strict=True)
    ), "one epoch is the best and the last of both"


def test_too_few_runs_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="splits are missing of adult"):
        collect()


# The loss


def info_nce(encoder: nn.Module, head: nn.Module, rows: dict, corrupted: dict) -> torch.Tensor:
    """Algorithm 1 of the paper, at temperature 1: each row is to find its own corruption among those of the batch."""
    za, zb = (F.normalize(head(encoder(data)["pooled"]), dim=1) for data in (rows, corrupted))
    return F.cross_entropy(za @ zb.T, torch.arange(len(za)))


def test_the_frameworks_loss_is_the_papers(tiny: Path) -> None:
    """On the same views, with the same weights."""
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
