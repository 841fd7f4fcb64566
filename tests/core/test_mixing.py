"""Views mixed of a batch's others: where they are named, what they hold, how they are weighed."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.algebra import CASES, prepare
from tests.core.test_views import KNOWN, build
from tests.end_to_end.waves import write_project
from tests.reference import formulas as ref
from torch import Tensor

from contrapose.cli import main
from contrapose.config import Config
from contrapose.data import make_loader
from contrapose.engine.build import Parts
from contrapose.engine.run import train
from contrapose.errors import ConfigError
from contrapose.plugins import configure
from contrapose.report.preview import as_text
from contrapose.types import Batch, Sample, ViewBatch
from contrapose.views import BatchMixer, Mix, ViewPlan

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"


def of(data: Any, *index: int) -> ViewBatch:
    return ViewBatch(data, "pulse", torch.tensor(index))


def mixed(views: ViewBatch, sample: Tensor, seed: int = 0) -> ViewBatch:
    return Mix("pulse", "query").mix(views, sample, torch.Generator().manual_seed(seed))


# -- the mixer ---------------------------------------------------------------------------------------------------------


def test_the_first_half_is_mixed_with_the_second() -> None:
    data = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(1))
    sample = torch.tensor([10, 11, 12, 13, 14, 15])
    made = mixed(of(data, 0, 1, 3, 4, 5), sample)  # position 2 lacks the view; the fifth row has no partner
    share = made.meta["share"]
    for m in range(2):
        torch.testing.assert_close(made.data[m], (share[m] * data[m] + (1 - share[m]) * data[2 + m]).float())
    assert made.index.tolist() == [0, 1]
    assert made.meta["other"].tolist() == [13, 14]
    torch.testing.assert_close(made.meta["other_share"], 1 - share)
    assert (made.data.dtype, share.dtype) == (torch.float32, torch.float64)
    assert isinstance(Mix("pulse", "query"), BatchMixer)


def test_shares_are_uniform_and_each_row_s_own() -> None:
    share = mixed(of(torch.zeros(4000, 1), *range(4000)), torch.arange(4000)).meta["share"]
    assert len(share.unique()) == 2000
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    assert share.var() == pytest.approx(1 / 12, abs=0.01)
    assert (share.min() >= 0) & (share.max() < 1)


def test_one_row_has_nobody_to_be_mixed_with() -> None:
    made = mixed(of(torch.ones(1, 3), 0), torch.tensor([7]))
    assert len(made) == 0
    assert made.data.shape == (0, 3)


@pytest.mark.parametrize(
    ("data", "says"), [(torch.ones(2, 3, dtype=torch.int64), "int64"), ({"x": torch.ones(2, 3)}, "dict")]
)
def test_what_cannot_be_added_up_is_said(data: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=f"views of pulse collate to {says}"):
        mixed(of(data, 0, 1), torch.tensor([7, 8]))


# -- the plan ----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, "mix", Mix)


MIXED = {"use": "mix", "of": "query"}
SLOTS = ["query", "key"]


def plan(
    views: dict[str, Any], slots: Any = SLOTS, own: Any = None, modalities: tuple[str, ...] = ("pulse",)
) -> ViewPlan:
    return ViewPlan.from_config(views, slots, build, modalities, own)


def test_a_method_brings_its_own_views_to_every_modality() -> None:
    made = plan({"pulse": "jitter"}, own={"mixed": MIXED})
    assert made.names == dict.fromkeys(["pulse/query", "pulse/key", "pulse/mixed"], "pulse")
    assert [(m.name, m.of) for m in made.mixed] == [("pulse/mixed", "pulse/query")]
    assert made.state_dict() == {}
    assert pickle.loads(pickle.dumps(made.maker(0))).plan.mixed == made.mixed


def test_the_config_may_name_another_view_for_the_slot() -> None:
    made = plan({"pulse": "jitter", "pulse.mixed": {"use": "mix", "of": "key"}}, own={"mixed": MIXED})
    assert [m.of for m in made.mixed] == ["pulse/key"]
    plain = plan({"pulse": "jitter", "pulse.mixed": "jitter"}, own={"mixed": MIXED})
    assert not plain.mixed
    assert "pulse/mixed" in plain.names
    alone = plan({"pulse.query": "jitter", "pulse.mixed": MIXED}, slots=None)
    assert list(alone.names) == ["pulse/query", "pulse/mixed"]


@pytest.mark.parametrize(
    ("key", "node", "slots", "says", "at"),
    [
        ("pulse.mixed", {"use": "mix", "of": "qeury"}, [*SLOTS, "mixed"], "did you mean 'query'", ["of"]),
        ("pulse.mixed", MIXED, SLOTS, "no slot 'mixed'", []),
        ("pulse.mixed", {**MIXED, "count": 2}, [*SLOTS, "mixed"], "belongs to views.pulse", ["count"]),
        ("pulse.mixed", {**MIXED, "batched": True}, [*SLOTS, "mixed"], "no batched form", ["batched"]),
        ("pulse.mixed", ["jitter", MIXED], [*SLOTS, "mixed"], "can't be composed", []),
        ("pulse", MIXED, SLOTS, "fills one slot", []),
    ],
)
def test_plan_errors_have_their_path(key: str, node: Any, slots: Any, says: str, at: list[str]) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        plan({"pulse": "jitter", key: node}, slots)
    assert error.value.path == ("views", key, *at)


def test_a_sheet_names_mixed_views_and_makes_none_of_a_sample() -> None:
    made = plan({"pulse": "jitter"}, own={"mixed": MIXED})
    sheet = made.maker(0, sheet=True)
    assert sheet.names == made.names
    views, failed = sheet(Sample(1, {"pulse": np.zeros(3)}), 0)
    assert [v.name for v in views] == ["pulse/query", "pulse/key"]
    assert not failed


# -- the loader --------------------------------------------------------------------------------------------------------


class Pulse:
    name, dtype = "pulse", torch.float32

    def load(self, cells, root):
        return cells

    def collate(self, items):
        return torch.stack([torch.as_tensor(i) for i in items])

    def preview(self, data):
        return {"text/plain": str(data)}


@dataclass
class Doubled:
    """A view whose batched form doubles what it gets."""

    modality: str = "pulse"

    def __call__(self, sample, rng):
        raise AssertionError("made of the batch")

    def batched(self, data, generator):
        return 2 * data


def batches(views: dict[str, Any], seed: int = 0, epoch: int = 0, workers: int = 0) -> list[Batch]:
    samples = [Sample(100 + i, {"pulse": np.arange(3.0) + i} if i % 4 else {}, {"label": i}) for i in range(1, 16)]
    loader = make_loader(
        samples, plan(views, own={"mixed": MIXED}).maker(seed), {"pulse": Pulse()}, 6, seed=seed, workers=workers
    )
    loader.set_epoch(epoch)
    return list(loader)


def test_a_loader_gives_the_mixed_views_of_each_batch() -> None:
    for batch in batches({"pulse": "jitter"}):
        views, query = batch.views["pulse/mixed"], batch.views["pulse/query"]
        half = len(query) // 2
        assert len(views) == half
        share = views.meta["share"].float()[:, None]
        torch.testing.assert_close(views.data, share * query.data[:half] + (1 - share) * query.data[half : 2 * half])
        assert views.meta["other"].tolist() == batch.sample[query.index[half : 2 * half]].tolist()
        part = batch.take(views.index[1:])
        assert part.views["pulse/mixed"].meta["other"].tolist() == views.meta["other"][1:].tolist()


def test_mixing_follows_batched_views() -> None:
    KNOWN["doubled"] = Doubled
    for batch in batches({"pulse": "jitter", "pulse.query": {"use": "doubled", "batched": True}}):
        views, query = batch.views["pulse/mixed"], batch.views["pulse/query"]
        half, share = len(query) // 2, views.meta["share"].float()[:, None]
        torch.testing.assert_close(views.data, share * query.data[:half] + (1 - share) * query.data[half : 2 * half])
        assert (query.data[:, 1] - query.data[:, 0]).tolist() == [2.0] * len(query)


def test_shares_are_keyed_by_seed_epoch_and_batch() -> None:
    def drawn(**how: int) -> list[float]:
        return [x for b in batches({"pulse": "jitter"}, **how) for x in b.views["pulse/mixed"].meta["share"].tolist()]

    assert drawn() == drawn(workers=1)
    assert len({*drawn(), *drawn(seed=1), *drawn(epoch=1)}) == len(drawn()) + len(drawn(seed=1)) + len(drawn(epoch=1))


def test_ranks_draw_apart() -> None:
    made = plan({"pulse": "jitter"}, own={"mixed": MIXED}).maker(0)
    views = {n: ViewBatch(torch.zeros(4, 3), "pulse", torch.arange(4)) for n in ("pulse/query", "pulse/key")}
    views["pulse/mixed"] = ViewBatch(None, "pulse", torch.zeros(0, dtype=torch.int64))
    data = Batch(torch.arange(4), views)
    shares = [made.finish(data, 0, 0, rank).views["pulse/mixed"].meta["share"] for rank in (0, 1)]
    assert not (shares[0] == shares[1]).any()
    views["pulse/query"] = views["pulse/mixed"]
    assert len(made.finish(data, 0, 0).views["pulse/mixed"]) == 0


# -- the method --------------------------------------------------------------------------------------------------------


def shared(data: Batch, share: Tensor) -> Batch:
    view = data.views["pulse/mixed"]
    view = replace(view, meta={**view.meta, "share": share, "other_share": 1 - share})
    return Batch(data.sample, {**data.views, "pulse/mixed": view}, data.meta)


def test_a_share_of_one_or_none_is_info_nce_of_a_half() -> None:
    method, data = prepare(CASES["mixco"])
    tables, queue = method.encode(data), method.sources["queue"].z[:7]
    logits = ref.unit(tables["mixed"].z) @ torch.cat([ref.unit(tables["key"].z), queue]).T / 0.05
    for share, target in ((torch.ones(3), torch.arange(3)), (torch.zeros(3), torch.arange(3, 6))):
        wanted = torch.nn.functional.cross_entropy(logits, target)
        torch.testing.assert_close(method.loss(shared(data, share.double())).terms["mixed"], wanted.detach())


def test_what_is_unknown_weighs_nothing() -> None:
    method, data = prepare(CASES["mixco"])
    share = torch.tensor([torch.nan, 0.3, 0.6], dtype=torch.float64)
    out = method.loss(shared(data, share))
    assert int(out.counts["mixed"]) == 2
    assert out.loss.isfinite()
    data.views["pulse/mixed"].meta.pop("share")
    with pytest.raises(ConfigError, match="'share', which these rows lack"):
        method.loss(data)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    yield write_project(tmp_path / "project")
    configure()


def test_the_preset_trains_and_embeds(project: Path) -> None:
    small = "{use: mixco, branches: {online: {projector: {hidden: 8, out: 8}}}, sources: {queue: {size: 32}}}"
    run = train(
        Config.load(project, [f"method={small}", "train.epochs=2", "train.workers=1"]),
        out=project.parent / "run",
        quiet=True,
    )
    assert "mixed" in (run.dir / "metrics.csv").read_text().partition("\n")[0]
    assert set(run.embed()) == {"wave", "echo"}


def test_a_modality_that_cannot_be_mixed_is_said_before_a_run_is_made(project: Path) -> None:
    parts = Parts(Config.load(project, ["method=mixco"]))
    parts.modalities["wave"].dtype = torch.int64  # type: ignore[misc]
    try:
        with pytest.raises(ConfigError, match="views of wave collate to int64"):
            next(iter(parts.train_loader()))
    finally:
        parts.modalities["wave"].dtype = torch.float32  # type: ignore[misc]


def test_a_sheet_of_views_draws_the_mixes_or_says_why_not(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("contrapose.report.pictures.view_sheet", lambda *args: drawn.append(args[:2]))
    asked = ["views", str(project), "-n", "4", "--set", "method=mixco", "--plugin", str(WAVES)]
    assert main([*asked, "-o", str(project.parent / "v.png")]) == 0
    assert "failed" not in capsys.readouterr().out
    rows, columns = drawn[0]
    at = columns.index(("wave", "mixed"))
    words = [as_text(previews[at]) for _, previews in rows]
    assert [word == "mixed into another's" for word in words] == [False, False, True, True]

    monkeypatch.setattr(Mix, "mix", lambda *args: 1 / 0)
    assert main([*asked, "-o", str(project.parent / "v.png")]) == 0
    assert "failed: wave/mixed isn't drawn: ZeroDivisionError: division by zero" in capsys.readouterr().out
    assert {as_text(previews[at]) for _, previews in drawn[1][0]} == {"not drawn"}
