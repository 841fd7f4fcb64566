"""docs/furniture.md is what its figures say, by runs of the configs as they are now; and the script runs, on a few pieces."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples/furniture_pairs"))

import hand  # noqa: E402
import pairs  # noqa: E402
from show import CLOUDS, EMERGENT, FIGURES, PAGE, PAIRS, PICTURE, both_ways, page, questions, verdict  # noqa: E402

import contrapose as cp  # noqa: E402
from contrapose.engine.build import Parts  # noqa: E402
from contrapose.plugins import registry  # noqa: E402

SAID = pairs.table()
NAMES = [*SAID["methods"], *pairs.BASELINES]


def test_the_page_is_what_the_runs_found() -> None:
    found = json.loads(FIGURES.read_text("utf-8"))
    assert PAGE.read_text("utf-8") == page(found), "run: python examples/furniture_pairs/show.py"
    assert PICTURE.stat().st_size > 10_000
    for name in NAMES:
        configs = [pairs.digest(name, SAID, seed) for seed in found["seeds"]]
        assert found["configs"][name] == configs, f"{name} has changed since its runs"


def test_all_that_was_asked_is_answered() -> None:
    found = json.loads(FIGURES.read_text("utf-8"))
    assert [(r["heading"], r["of"], r["method"], r["other"]) for r in found["compared"]] == questions()
    for row in found["compared"]:
        low, high = row["interval"]
        assert len(row["by seed"]) == len(found["seeds"])
        assert low <= np.mean(row["by seed"]) <= high
    chance = 1000 / found["gallery"]
    for pair in PAIRS:
        for name in ("hand", "alone", "graph"):
            assert np.mean(both_ways(found, name, pair) or []) > 2 * chance, (pair, name)


def test_the_words_say_what_the_figures_say() -> None:
    """What stands under "In short"."""
    found = json.loads(FIGURES.read_text("utf-8"))
    said = {(r["of"], r["method"], r["other"]): verdict(r) for r in found["compared"]}
    assert said["pointcloud~image", "crosspoint", "cross-alone"] == "more"
    assert {said[task, "crosspoint", "cross-alone"] for task in ("room", "noun")} == {"not shown"}
    together = {pair: said[pair, "graph", "alone"] for pair in ("all pairs", *PAIRS)}
    assert {pair for pair, is_ in together.items() if is_ == "more"} == {"all pairs", "image~text", "image~tabular"}
    assert together["pointcloud~tabular"] == "less"
    for method in ("alone", "graph"):
        assert said["all pairs", method, "hand"] == "not shown"
        assert {said[pair, method, "hand"] for pair in ("pointcloud~image", "image~text")} == {"less"}
        assert said["text~tabular", method, "hand"] == "more"
    assert {said[pair, "hub", "untrained"] for pair in EMERGENT} == {"more"}
    assert {said[pair, "ulip-like", "alone"] for pair in ("pointcloud~image", "pointcloud~text")} == {"less"}
    assert {said["room", method, "untrained"] for method in CLOUDS} == {"not shown"}
    assert {said["noun", method, "untrained"] for method in CLOUDS} == {"more", "not shown"}
    means = {name: np.mean(of["noun"]) for name, of in found["svm"].items() if of}
    assert means["untrained"] < min(means[m] for m in CLOUDS) < max(means[m] for m in CLOUDS) < means["hand"]
    assert {said["room", method, "hand"] for method in ("crosspoint", "graph")} == {"less"}


def test_cca_finds_what_two_tables_share() -> None:
    """Two noisy linear images of one hidden table: a row finds its counterpart; a shuffled table is found at chance."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(400, 6))
    x, y = (hidden @ rng.normal(size=(6, 20)) + 0.1 * rng.normal(size=(400, 20)) for _ in range(2))
    fit, held = np.arange(300), np.arange(300, 400)
    for other, least, most in ((y, 0.9, 1.0), (rng.permutation(y), 0.0, 0.3)):
        cca = hand.CCA(x[fit], other[fit], 0.1)
        p, q = (cca.project(side, z[held], 6, 1.0) for side, z in enumerate((x, other)))
        assert least <= hand.retrieved(p, q).recall(10).mean() <= most


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """The table on 96 training pieces, a quarter of them for testing, and two steps; three pieces make a noun a class."""
    rows = pq.read_table(ROOT / SAID["base"]["data"])
    rows = rows.filter(np.asarray(rows["split"]) == "train").slice(0, 96)
    split = pa.array(["train" if i % 4 else "test" for i in range(len(rows))])
    pq.write_table(rows.set_column(rows.schema.get_field_index("split"), "split", split), tmp_path / "few.parquet")
    monkeypatch.setattr(pairs, "RESULTS", tmp_path)
    monkeypatch.setattr(pairs, "NOUNS", 3)
    registry().load_file(ROOT / "examples/furniture_pairs/settled.py")
    train = SAID["base"]["train"] | {"steps": 2, "batch_size": 24}
    return SAID | {"base": SAID["base"] | {"data": str(tmp_path / "few.parquet"), "train": train}}


def test_a_pair_alone(few: dict) -> None:
    found = pairs.one("image~tabular", few, 0)
    assert {direction: len(ahead) for direction, (ahead, _) in found["ranks"].items()} == {
        "image → tabular": 24,
        "tabular → image": 24,
    }


@pytest.mark.slow
def test_clouds_meet_settled_towers(few: dict) -> None:
    """Their towers aren't trained, and pictures and names find each other as in the run before."""
    before = pairs.one("image~text", few, 0)
    encoders = Parts(cp.Config.of(pairs.config_of("ulip-like", few, 0))).make_method().encoders
    trained = {m for m, e in encoders.items() if any(p.requires_grad for p in e.parameters())}
    assert trained == {"pointcloud"}
    after = pairs.one("ulip-like", few, 0)
    assert len(after["ranks"]) == 6
    assert after["ranks"]["image → text"] == before["ranks"]["image → text"]
    assert set(after["svm"]) == {"room", "noun"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("ulip-like", "image~text", "image~tabular")])
def test_a_run(name: str, few: dict) -> None:
    found = pairs.one(name, few, 0)
    of = few["methods"].get(name, few["methods"]["graph"])["of"]
    assert len(found["ranks"]) == len(of) * (len(of) - 1)
    assert all(len(ahead) == len(tied) == 24 for ahead, tied in found["ranks"].values())
    if "pointcloud" in of:
        assert len(found["svm"]["room"]["right"]) == 24
