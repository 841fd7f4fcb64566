"""What docs/tabular-scarf.md says is what its runs found, and the parts of its protocol do what they say."""

from __future__ import annotations

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
    PAPER,
    accuracies,
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
from scarf_page import PAGE, page, verdict  # noqa: E402

SAID = table()


@pytest.fixture(scope="module")
def found() -> dict:
    return load()


def test_the_page_is_what_the_runs_found(found: dict) -> None:
    assert PAGE.read_text("utf-8") == page(found), "run: python examples/tabular_scarf/scarf_page.py"


def test_the_runs_are_of_the_table_as_it_is(found: dict) -> None:
    assert ([*found["tables"]], [*found["apart"]], [*found["rest"]]) == (SAID["datasets"], SAID["apart"], SAID["rest"])
    assert SAID["datasets"] + SAID["apart"] == [*SOURCES]
    for name, runs in (found["tables"] | found["apart"] | found["rest"]).items():
        assert [run["split"] for run in runs] == [*range(len(runs))]
        for run in runs:
            assert run["config"] == digest(name, run["split"], SAID), (
                f"make tabular-scarf: {name} has changed since its runs"
            )


def test_what_the_page_says_in_words(found: dict) -> None:
    settings, whole, said = [*SAID["settings"]], suite(found), PAGE.read_text("utf-8")
    first, rest = {"tables": found["tables"]}, {"tables": found["rest"]}
    assert {name: len(of["tables"]) for name, of in groups(found).items()} == {
        "all 63": 63,
        "the 38 of copies": 38,
        "the 24 of packages": 24,
    }
    assert [[s for s in settings if helps(of, s)] for of in (whole, rest, first)] == [
        settings,
        ["quarter", "noise"],
        ["full", "noise"],
    ]
    shares = [relative(whole, s) / PAPER[s] for s in settings]
    assert "at {:.0f}, {:.0f} and {:.0f} % of the paper's relative gains".format(*(100 * x for x in shares)) in said
    assert holm([over_tables(gains(whole, s)) for s in settings]) == pytest.approx([0.023, 0.023, 0.0004], abs=5e-4)
    of = dict(zip(whole["tables"], gains(whole, "quarter"), strict=True))
    largest = sorted(of, key=of.__getitem__)[:-5:-1]
    assert {name: round(of[name], 1) for name in largest} == {
        "dna": 20.0,
        "splice": 16.1,
        "madelon": 8.0,
        "qsar-biodeg": 7.7,
    }
    others = [gain for name, gain in of.items() if name not in largest]
    assert (round(statistics.mean(others), 1), round(over_tables(others), 2)) == (0.3, 0.06)
    assert round(statistics.median(of.values()), 1) == 0.2
    full = dict(zip(whole["tables"], gains(whole, "full"), strict=True))
    assert {*sorted(full, key=full.__getitem__)[-3:]} == {"car", "madelon", "tic-tac-toe"}
    assert won(whole, "noise", "scratch") == (16, 0)


def won(found: dict, setting: str, than: str) -> tuple[int, int]:
    return wins(*([accuracies(found, name, setting, c) for name in found["tables"]] for c in ("scarf", than)))


def test_what_the_page_says_of_how_networks_start(found: dict) -> None:
    whole = suite(found)
    by_start = {init: gains(whole, "quarter", ways) for init, ways in BY_ERROR.items()}
    assert {i: round(statistics.mean(of), 1) for i, of in by_start.items()} == {"he": 0.1, "pytorch": 2.1}
    assert {i: round(over_tables(of), 2) for i, of in by_start.items()} == {"he": 0.53, "pytorch": 0.01}
    assert round(mean_of(whole, "quarter", "scratch", BY_ERROR["he"]), 1) == 80.3
    assert round(mean_of(whole, "quarter", "scarf", BY_ERROR["pytorch"]), 1) == 78.0
    wrong = [statistics.mean(gains(whole, "noise", ways)) for ways in BY_ERROR.values()]
    assert wrong[0] > wrong[1]
    for name, setting, gain in (("car", "full", 26), ("dna", "quarter", 38), ("qsar-biodeg", "quarter", 16)):
        assert round(statistics.mean(differences(whole, name, setting, ways=BY_ERROR["pytorch"]))) == gain
    assert round(statistics.mean(differences(whole, "splice", "quarter", ways=BY_ERROR["pytorch"]))) == 28
    # The commonest class has 70.0 % of car's rows, 51.9 % of splice's and dna's, 66.3 % of qsar-biodeg's.
    for name, setting, most in (("car", "full", 70.5), ("splice", "quarter", 52.5), ("dna", "quarter", 52.5)):
        of = accuracies(whole, name, setting, "scratch", [("pytorch", "error")])
        assert statistics.median(of) < most
    assert max(accuracies(whole, "qsar-biodeg", "quarter", "scratch", BY_ERROR["pytorch"])) < 66.8
    by_loss = [(init, end) for init in INITS for end in ENDS if end.startswith("loss")]
    right = [statistics.mean(gains(whole, s, [way])) for s in ("full", "quarter") for way in by_loss]
    assert max(right) < 0.4
    last = [statistics.mean(gains(whole, "noise", [(i, end)])) for i in INITS for end in ENDS if end.endswith("last")]
    assert (round(min(last), 1), round(max(last), 1)) == (0.9, 1.9)


def test_what_the_page_says_of_others(found: dict) -> None:
    whole = suite(found)
    mean = {c: mean_of(whole, "noise", c) for c in CLASSIFIERS}
    assert max(mean, key=mean.__getitem__) == "scarf"
    for setting in ("full", "quarter"):
        mean = {c: mean_of(whole, setting, c) for c in CLASSIFIERS}
        assert max(mean, key=mean.__getitem__) == "trees"
    assert won(whole, "noise", "trees")[0] == 44


BY_ERROR = {init: [(init, end) for end in ENDS if end.startswith("error")] for init in INITS}


def test_what_the_readme_says(found: dict) -> None:
    said = (ROOT / "README.md").read_text("utf-8")
    whole = suite(found)
    for setting, ours in SAYS.items():
        assert ours.format(statistics.mean(gains(whole, setting)), relative(whole, setting)) in said
        assert f"{PAPER[setting]:.2f}" in said


SAYS = {
    "full": "gains {:.2f} points ({:.2f} %) over",
    "quarter": "{:.2f} ({:.2f} %) with a quarter",
    "noise": "{:.2f} ({:.2f} %) where 30 %",
}


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
    said = (ROOT / "examples/data/openml_copies.tsv").read_text("utf-8").splitlines()[1:]
    assert [line.split("\t")[0] for line in said] == SAID["rest"]
    assert {*SAID["rest"]} <= {*IDS}
    assert all(line.split("\t")[1].count("/") >= 1 for line in said)


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
    with pytest.raises(SystemExit, match="too few splits yet of adult"):
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
