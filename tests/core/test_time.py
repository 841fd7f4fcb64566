"""What comes next, what is near, what belongs together: forecasts, and positives by time, group, tracklet and cluster."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.algebra import CASES, CPC, HEAD, POSITIONS, Net, batch, merge, prepare, preset
from tests.end_to_end.waves import write_project
from tests.reference import formulas as ref
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose import Method
from contrapose.branches.forecast import Forecast
from contrapose.config import Config, build
from contrapose.engine.run import train
from contrapose.errors import ConfigError
from contrapose.plugins import configure
from contrapose.types import Batch

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"
SEQUENCE = ("pulse/sequence",)
TWO = ("pulse/a", "pulse/b")


def method_of(data: dict[str, Any]) -> Method:
    torch.manual_seed(0)
    return Method.from_data(data, {"pulse": Net("pulse")}).double()


def relabelled(data: Batch, **columns: Any) -> Batch:
    return Batch(data.sample, data.views, {**data.meta, **{k: torch.as_tensor(v) for k, v in columns.items()}})


# -- forecasts ---------------------------------------------------------------------------------------------------------


def test_a_forecast_says_of_which_position_it_speaks() -> None:
    made, columns = Forecast(3, out=2, steps=2, hidden=4)(torch.randn(5, 5, 3))
    assert made.shape == (5, 6, 2)
    assert columns["target"][0].tolist() == [1, 2, 2, 3, 3, 4]
    assert columns["step"][4].tolist() == [1, 2, 1, 2, 1, 2]
    head = build("head", {"use": "forecast", "steps": 3}, dim=6, out=6)
    assert (head.out, head.steps, head.context.hidden_size) == (6, 3, 256)


def test_a_forecast_knows_the_past_and_nothing_else() -> None:
    torch.manual_seed(0)
    head, x = Forecast(3, out=2, steps=2, hidden=4).double(), torch.randn(1, 6, 3, dtype=torch.float64)
    x.requires_grad_()
    made, columns = head(x)
    for row in range(made.shape[1]):
        now = int(columns["target"][0, row] - columns["step"][0, row])
        (grad,) = torch.autograd.grad(made[0, row].sum(), x, retain_graph=True)
        used = grad[0].abs().sum(-1) > 0
        assert used.tolist() == [t <= now for t in range(6)]


def test_a_forecast_says_what_it_needs() -> None:
    with pytest.raises(ConfigError, match="4 steps ahead need more than 4 positions"):
        Forecast(3, steps=4)(torch.randn(2, 4, 3))
    with pytest.raises(ConfigError, match="tap: dense"):
        Forecast(3)(torch.randn(2, 3))
    with pytest.raises(ConfigError, match="at least 1 step") as caught:
        build("head", {"use": "forecast", "steps": 0}, ("predictor",), dim=3, out=3)
    assert caught.value.path == ("predictor", "steps")


class Passing(nn.Module):
    """An aggregator that keeps the present alone."""

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x, None


def next_step(**term: Any) -> Method:
    """CPC one step ahead, its context the present itself and its map the identity."""
    changes = {"branches": {"context": {"predictor": {"steps": 1}}}, "terms": {"ahead": {"weight": 1.0, **term}}}
    method = method_of(preset("cpc", **merge(CPC, changes)))
    head = method.towers.predictors["context"]
    head.context, head.ahead = Passing(), nn.Identity()
    return method


def test_one_step_with_nothing_learnt_is_info_nce() -> None:
    method, data = next_step(tau=0.5, normalize=True, denominator="same(target, to=position)"), batch(SEQUENCE)
    z = method.encode(data)["local"].z.unflatten(0, (-1, POSITIONS))
    pairs = [ref.info_nce(z[:, t], z[:, t + 1], 0.5) for t in range(POSITIONS - 1)]
    torch.testing.assert_close(method.loss(data).loss, torch.stack(pairs).mean())
    unit = ref.unit(torch.randn(6, 2, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    both = torch.cat([unit[:, 1], unit[:, 0]])  # the reference: all positions are keys
    wanted = F.cross_entropy(unit[:, 0] @ both.T / 4, torch.arange(6))
    torch.testing.assert_close(ref.cpc(unit, unit, [torch.eye(4, dtype=torch.float64)]), wanted)


def test_negatives_may_be_drawn_as_in_the_authors_code() -> None:
    noise = {"use": "drawn", "of": "local", "query": "context", "count": 3}
    changes = {"sources": {"noise": noise}, "terms": {"ahead": {"keys": ["local", "noise"]}}}
    changes["terms"]["ahead"]["denominator"] = "positive or origin(noise)"
    method, data = method_of(preset("cpc", **merge(CPC, changes))), batch(SEQUENCE)
    out = method.loss(data)
    assert out.counts["ahead"] == 7 * 2 * 2
    out.loss.backward()
    assert method.encoders["pulse"].weight.grad.abs().max() > 0


def test_a_sequence_that_nobody_has_leaves_a_graph() -> None:
    method, data = method_of(preset("cpc", **CPC)), batch(SEQUENCE)
    data.views["pulse/sequence"] = data.take(torch.zeros(0, dtype=torch.int64)).views["pulse/sequence"]
    out = method.loss(data)
    assert out.loss == 0
    out.loss.backward()
    assert all(p.grad is not None for p in method.parameters())


def test_what_a_head_tells_beats_a_column_of_the_data() -> None:
    method, data = method_of(preset("cpc", **CPC)), batch(SEQUENCE)
    wanted = method.loss(data).loss
    assert torch.equal(method.loss(relabelled(data, target=[9] * 7, step=[9] * 7)).loss, wanted)


# -- positives by columns ----------------------------------------------------------------------------------------------


def small(name: str, **changes: Any) -> Method:
    return method_of(preset(name, **merge({"branches": {"online": {"projector": HEAD}}}, changes)))


def test_without_neighbours_the_temporal_preset_is_simclr() -> None:
    data, method = batch(TWO), small("temporal")
    z = method.encode(data)["online"].z
    simclr = ref.nt_xent(z[:7], z[7:], 0.1)
    for columns in (
        {"sequence": torch.arange(7), "time": torch.zeros(7, dtype=torch.float64)},
        {"sequence": torch.zeros(7, dtype=torch.int64), "time": 10.0 * torch.arange(7, dtype=torch.float64)},
        {"sequence": torch.zeros(7, dtype=torch.int64), "time": torch.full((7,), torch.nan, dtype=torch.float64)},
        {"sequence": torch.full((7,), -1), "time": torch.zeros(7, dtype=torch.float64)},
    ):
        torch.testing.assert_close(method.loss(relabelled(data, **columns)).loss, simclr)


def test_what_lies_between_window_and_margin_counts_as_neither() -> None:
    data, method = batch(TWO, count=2), small("temporal")
    gap = {"sequence": [0, 0], "time": torch.tensor([0.0, 1.5], dtype=torch.float64)}
    assert method.loss(relabelled(data, **gap)).loss.item() == pytest.approx(0)  # nothing but the own view is left
    gap["time"] = torch.tensor([0.0, 2.1], dtype=torch.float64)
    assert method.loss(relabelled(data, **gap)).loss > 0.1


def test_the_temporal_case_has_neighbours_and_gaps() -> None:
    """The reference is compared on data where each part of the rule matters."""
    method, data = prepare(CASES["temporal"])
    wanted = method.loss(data).loss
    for column in ("sequence", "time"):
        assert not torch.allclose(method.loss(relabelled(data, **{column: data.meta[column] * 0})).loss, wanted)


def test_a_missing_column_is_named() -> None:
    data = batch(TWO)
    data.meta.pop("sequence")
    with pytest.raises(ConfigError, match=r"'sequence', which these rows lack.*meta:"):
        small("temporal").loss(data)


def test_groups_of_one_are_moco_and_partners_are_averaged() -> None:
    method, data = prepare(CASES["same-group"])
    q, k = (ref.unit(method.encode(data)[n].z) for n in ("online", "key"))
    queue = method.sources["queue"].z[: int(method.sources["queue"].filled)]
    torch.testing.assert_close(method.loss(relabelled(data, group=torch.arange(7))).loss, ref.moco(q, k, queue, 0.2))
    together = torch.stack([ref.moco(q, k.roll(shift, 0), queue, 0.2) for shift in range(7)]).mean()
    torch.testing.assert_close(method.loss(relabelled(data, group=torch.zeros(7).long())).loss, together)
    unknown = method.loss(relabelled(data, group=torch.full((7,), -1))).loss
    torch.testing.assert_close(unknown, ref.moco(q, k, queue, 0.2))


def test_one_camera_and_a_tracklet_a_sample_is_simclr() -> None:
    data, method = batch(TWO), small("tracklet")
    z = method.encode(data)["online"].z
    alone = relabelled(data, tracklet=torch.arange(7), camera=torch.zeros(7).long())
    torch.testing.assert_close(method.loss(alone).loss, ref.nt_xent(z[:7], z[7:], 0.1))
    apart = method.loss(relabelled(data, tracklet=torch.arange(7), camera=torch.arange(7)))
    assert apart.loss.item() == pytest.approx(0)  # no camera saw another thing


def test_pseudo_labels_are_simclr_until_there_are_clusters() -> None:
    method = small("pseudo-label", sources={"clusters": {"counts": [3], "start": {"epochs": 1}}})
    method.clock.start(steps_per_epoch=1, epochs=3)
    data, labels = batch(TWO), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    rows = method.encode(data)["online"]
    method.epoch(lambda name: pytest.fail("embedded before the start"))
    torch.testing.assert_close(method.loss(data).loss, ref.nt_xent(rows.z[:7], rows.z[7:], 0.1))
    method.advance()
    centres = torch.eye(3, 4, dtype=torch.float64)
    method.epoch(lambda name: replace(rows.take(slice(0, 7)), z=centres[labels]))
    torch.testing.assert_close(method.loss(data).loss, ref.supcon_out(rows.z, labels.repeat(2), 0.1))


# -- from a config -----------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    yield write_project(tmp_path / "project")
    configure()


@pytest.mark.parametrize(
    ("name", "meta"),
    [
        ("temporal", "{sequence: part, time: pitch}"),
        ("same-group", "{group: pitch}"),
        ("tracklet", "{tracklet: pitch, camera: part}"),
        ("pseudo-label", "{}"),
    ],
)
def test_each_preset_trains_on_columns_of_the_data(project: Path, name: str, meta: str) -> None:
    small = f"{{use: {name}, branches: {{online: {{projector: {{hidden: 8, out: 8}}}}}}}}"
    changes = [f"method={small}", f"meta={meta}", "train.epochs=2"]
    if name == "pseudo-label":
        changes.append("method.sources={clusters: {counts: [4], start: {epochs: 1}}}")
    run = train(Config.load(project, changes), out=project.parent / "run", quiet=True)
    rows = list(csv.DictReader((run.dir / "metrics.csv").open()))
    assert all(math.isfinite(float(row["loss"])) for row in rows)
