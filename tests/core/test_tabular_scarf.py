"""What docs/tabular-scarf.md says is what its runs found, and the parts of its protocol do what they say."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

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
from protocol import config_of, digest, one_split, parts_of, table  # noqa: E402
from scarf_page import (  # noqa: E402
    CLASSIFIERS,
    INITS,
    PAGE,
    PAPER,
    accuracies,
    collect,
    differences,
    gains,
    helps,
    load,
    mean_of,
    page,
    relative,
    verdict,
)

SAID = table()


@pytest.fixture(scope="module")
def found() -> dict:
    return load()


def test_the_page_is_what_the_runs_found(found: dict) -> None:
    assert PAGE.read_text("utf-8") == page(found), "run: python examples/tabular_scarf/scarf_page.py"


def test_the_runs_are_of_the_table_as_it_is(found: dict) -> None:
    assert [*found["tables"]] == SAID["datasets"] == [*SOURCES]
    for name, runs in found["tables"].items():
        assert [run["split"] for run in runs] == found["splits"]
        for run in runs:
            assert run["config"] == digest(name, run["split"], SAID), (
                f"make tabular-scarf: {name} has changed since its runs"
            )


def test_what_the_page_says_in_words(found: dict) -> None:
    settings, names = [*SAID["settings"]], [*found["tables"]]
    assert [setting for setting in settings if helps(found, setting)] == ["full", "noise"]
    assert holm([over_tables(gains(found, s)) for s in settings]) == pytest.approx([0.085, 0.70, 0.049], abs=5e-3)
    for setting in settings:
        assert wins(*([accuracies(found, n, setting, c) for n in names] for c in ("scarf", "scratch")))[1] == 0
        ways = [gains(found, setting, [(init, end)]) for init in INITS for end in ENDS if end.startswith("loss")]
        assert setting == "noise" or max(map(statistics.mean, ways)) < 0.4
        assert setting == "noise" or statistics.mean(gains(found, setting, BY_ERROR["he"])) < 0.4
    last = [gains(found, "noise", [(init, end)]) for init in INITS for end in ENDS if end.endswith("last")]
    assert all(0.95 < statistics.mean(of) < 1.65 for of in last)
    of = dict(zip(names, gains(found, "full"), strict=True))
    assert {n: round(of[n], 1) for n in sorted(of, key=of.__getitem__)[-2:]} == {"tic-tac-toe": 6.9, "car": 13.2}
    for name, setting, gain in (("car", "full", 26), ("splice", "quarter", 28)):
        made = statistics.mean(differences(found, name, setting, ways=BY_ERROR["pytorch"]))
        assert round(made) == gain
    # 1,210 of car's 1,728 rows, 1,655 of splice's 3,190, are of the commonest class.
    assert max(accuracies(found, "car", "full", "scratch", BY_ERROR["pytorch"])) < 70.5
    quarter = accuracies(found, "splice", "quarter", "scratch", [("pytorch", "error")])
    assert statistics.median(quarter) < 52.5
    mean = {c: mean_of(found, "noise", c) for c in CLASSIFIERS}
    assert max(mean, key=mean.__getitem__) == "scarf"
    assert all(
        mean_of(found, s, "trees") > mean_of(found, s, c) for s in ("full", "quarter") for c in ("scarf", "logistic")
    )
    assert wins(*([accuracies(found, n, "noise", c) for n in names] for c in ("scarf", "trees")))[0] == 21


BY_ERROR = {init: [(init, end) for end in ENDS if end.startswith("error")] for init in INITS}


def test_what_the_readme_says(found: dict) -> None:
    said = (ROOT / "README.md").read_text("utf-8")
    for setting, ours in (("full", "gains {:.2f} points ({:.2f} %) over"), ("noise", "{:.2f} ({:.2f} %) where 30 %")):
        assert ours.format(statistics.mean(gains(found, setting)), relative(found, setting)) in said
        assert f"{PAPER[setting]:.2f}" in said


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
