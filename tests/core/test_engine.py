"""The engine's parts, each by itself."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.end_to_end.waves import write_project
from torch import nn

from contrapose.config import Config
from contrapose.engine.build import Parts, fingerprint
from contrapose.engine.device import accelerator_for
from contrapose.engine.estimate import rehearse
from contrapose.engine.fitted import load_fitted, save_fitted
from contrapose.engine.folder import resolved
from contrapose.engine.logs import CsvLog
from contrapose.engine.optim import load_optimizer_tensors, make_optimizer, optimizer_tensors, set_decay, set_lr
from contrapose.engine.progress import ProgressLine, clock_time
from contrapose.engine.randomness import reproducible, reseed
from contrapose.engine.recipe import lay_over, with_recipe
from contrapose.engine.run import train
from contrapose.engine.skipped import Skipped, Unread, read_skipped
from contrapose.engine.train import check, train_step
from contrapose.errors import CheckpointError, ConfigError
from contrapose.losses.engine import Engine
from contrapose.plugins import configure, registry

WAVES = Path(__file__).parents[1] / "end_to_end" / "waves.py"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    yield write_project(tmp_path / "project")
    configure()


# -- optimisers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["adamw", "adam", "sgd", {"use": "sgd", "momentum": 0.5, "nesterov": True}])
def test_optimizer_state_comes_back_bit_for_bit(node) -> None:
    def steps(net: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
        for i in range(count):
            net(torch.full((4, 3), float(i))).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    optimizer = make_optimizer(node, [{"params": list(net.parameters())}], 1e-2)
    steps(net, optimizer, 3)
    saved = {k: v.clone() for k, v in optimizer_tensors(optimizer, net).items()}
    twin = nn.Linear(3, 2)
    twin.load_state_dict(net.state_dict())
    other = make_optimizer(node, [{"params": list(twin.parameters())}], 1e-2)
    load_optimizer_tensors(other, twin, saved)
    steps(net, optimizer, 3)
    steps(twin, other, 3)
    assert torch.equal(net.weight, twin.weight)


def test_optimizer_arguments_are_checked() -> None:
    groups = [{"params": list(nn.Linear(1, 1).parameters())}]
    assert make_optimizer({"use": "sgd", "momentum": 0.5}, groups, 1.0).defaults["momentum"] == 0.5
    with pytest.raises(ConfigError, match="did you mean 'momentum'"):
        make_optimizer({"use": "sgd", "momentun": 0.5}, groups, 1.0)
    with pytest.raises(ConfigError, match="no parameter to train"):
        make_optimizer("sgd", [{"params": []}], 1.0)


def test_groups_keep_their_own_base_rate() -> None:
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer("adamw", [{"params": [a]}, {"params": [b], "lr": 0.5}], 0.1)
    set_lr(optimizer, 0.5)
    assert [g["lr"] for g in optimizer.param_groups] == [0.05, 0.25]


def test_optimizer_state_of_another_method_is_refused() -> None:
    net = nn.Linear(1, 1)
    with pytest.raises(CheckpointError, match="of another method"):
        load_optimizer_tensors(
            make_optimizer("adam", [{"params": [net.weight]}], 1.0), net, {"step/w": torch.zeros(())}
        )


# -- the step --------------------------------------------------------------------------------------------------------


def test_frozen_parameters_do_not_move_even_by_weight_decay() -> None:
    class Stand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.advanced = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1)), 0

        def forward(self, batch):
            return SimpleNamespace(loss=(self.a * self.b).sum(), terms={})

        def frozen(self):
            return [self.b]

        def advance(self) -> None:
            self.advanced += 1

    method = Stand()
    optimizer = make_optimizer("adamw", [{"params": list(method.parameters()), "weight_decay": 0.5}], 0.1)
    how = Config.of({"data": "x", "train": {"device": "cpu"}}).run.train
    train_step(method, method, optimizer, None, accelerator_for(how), how)
    assert method.a.item() != 1.0
    assert method.b.item() == 1.0
    assert method.advanced == 1
    assert method.a.grad is None


def test_weight_decay_may_be_a_schedule_for_those_that_decay() -> None:
    matrix, vector = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    groups = [{"params": [matrix], "weight_decay": 1.0}, {"params": [vector], "weight_decay": 0.0}]
    optimizer = make_optimizer("adamw", groups, 0.1)
    set_decay(optimizer, [1.0, 0.0], 0.25)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.25, 0.0]


@pytest.mark.parametrize("node", [{"cosine": [0.1]}, {"steps": [0.1, 0.2]}, -1.0, "much"])
def test_a_weight_decay_that_is_none_is_one_line(node: object, project: Path) -> None:
    tree = Config.load(project).data
    config = Config.of({**tree, "train": {**tree["train"], "weight_decay": node}})
    method = Parts(Config.load(project)).make_method()
    with pytest.raises(ConfigError) as e:
        check(method, config.run.train)
    assert e.value.path[:2] == ("train", "weight_decay")
    assert "\n" not in str(e.value)


def test_a_run_follows_its_weight_decay(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        "contrapose.engine.train.set_decay", lambda optimizer, shares, decay: seen.append((shares, decay))
    )
    config = Config.load(project, ["train.weight_decay={linear: [0.1, 0.3]}", "train.steps=4", "train.loggers=[]"])
    train(config, out=tmp_path / "run", quiet=True)
    assert [decay for _, decay in seen] == pytest.approx([0.1, 0.15, 0.2, 0.25])
    assert all(set(shares) == {0.0, 1.0} for shares, _ in seen)


def test_a_config_says_how_pairs_are_visited(project: Path) -> None:
    assert Parts(Config.load(project)).make_method().engine == Engine("auto")
    assert Parts(Config.load(project, ["loss.engine=tiled", "loss.tile=64"])).make_method().engine == Engine(
        "tiled", 64
    )
    assert Parts(Config.load(project, ["loss.engine=triton"])).make_method().engine == Engine("triton")
    with pytest.raises(ConfigError, match="expected one of 'auto', 'dense', 'tiled', 'triton'"):
        Config.load(project, ["loss.engine=flash"]).run  # noqa: B018


def test_a_rehearsal_leaves_no_trace(project: Path, tmp_path: Path) -> None:
    parts = Parts(Config.load(project))
    method = parts.make_method().train()
    batch = next(iter(parts.train_loader()))
    before = {k: v.clone() for k, v in method.state_dict().items()}
    rng = torch.get_rng_state()
    estimate = rehearse(method, lambda: method(batch).loss.backward(), torch.device("cpu"), 100, 0.5)
    assert estimate.parameters == sum(p.numel() for p in method.parameters() if p.requires_grad)
    assert 0.5 < estimate.seconds_per_step == pytest.approx(estimate.seconds / 100)
    assert estimate.peak_bytes > 1e7
    after = method.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert all(p.grad is None for p in method.parameters())
    assert torch.equal(rng, torch.get_rng_state())


def test_what_is_shown_does_not_change_what_is_learnt(project: Path, tmp_path: Path, capsys) -> None:
    for name, quiet in (("loud", False), ("quiet", True)):
        train(project, set=["train.steps=7"], out=tmp_path / name, quiet=quiet)
        out = capsys.readouterr().out
        assert ("epoch 2/2" in out and "parameters" in out) is not quiet
    csvs = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("loud", "quiet")]
    assert csvs[0] == csvs[1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_precision_and_clipping(project: Path, tmp_path: Path, precision: str) -> None:
    settings = [f"train.precision={precision}", "train.steps=5", "train.clip=0.1", "train.optimizer=sgd"]
    run = train(project, set=settings, out=tmp_path / "run", quiet=True)
    with open(run.dir / "metrics.csv") as f:
        rows = list(csv.DictReader(f))
    assert all(np.isfinite(float(r["loss"])) for r in rows)
    assert all(p.dtype == torch.float32 for p in run.method.parameters())


def test_gradients_do_not_depend_on_the_seed_of_the_caller(project: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        torch.manual_seed(hash(name))
        train(project, set=["train.steps=3"], out=tmp_path / name, quiet=True)
    assert (tmp_path / "a" / "metrics.csv").read_bytes() == (tmp_path / "b" / "metrics.csv").read_bytes()


# -- randomness ------------------------------------------------------------------------------------------------------


def test_reseeding_is_a_pure_function_of_the_position() -> None:
    def draw(*position: int, stage: str = "step") -> float:
        reseed(0, stage, *position)
        return torch.rand(()).item()

    assert draw(3, 0) == draw(3, 0)
    assert len({draw(3, 0), draw(3, 1), draw(0, 3), draw(3), draw(3, stage="epoch")}) == 5


def test_determinism_and_threads_are_put_back() -> None:
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with reproducible(True, 1):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    assert (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()) == before


# -- logs ------------------------------------------------------------------------------------------------------------


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    log = CsvLog(path, until=0)
    log.write([{"step": s, "loss": 0.1 * s} for s in range(1, 6)])
    log.close()
    whole = path.read_text()
    with open(path, "a") as f:
        f.write("6,0.6\n7,0.")  # killed while writing
    log = CsvLog(path, until=5)
    log.write([{"step": 6, "loss": 0.25}])
    log.close()
    assert path.read_text() == whole + "6,0.25\n"
    CsvLog(path, until=0).close()
    assert path.read_text() == ""


def test_what_was_skipped_is_listed_once(tmp_path: Path) -> None:
    path = tmp_path / "skipped.csv"
    Skipped(path).add([])
    assert not path.exists()
    Skipped(path).add([(1, "wave", 'no "file"'), (2, "wave", "torn, badly")])
    again = Skipped(path)
    again.add([(1, "wave", 'no "file"'), (1, "echo", "silent")])
    assert len(path.read_text().splitlines()) == 1 + 3
    assert read_skipped(tmp_path) == [(1, "wave", 'no "file"'), (2, "wave", "torn, badly"), (1, "echo", "silent")]
    Skipped(tmp_path / "skipped.rank1.csv").add([(1, "wave", 'no "file"'), (4, "wave", "gone")])
    assert [sample for sample, _, _ in read_skipped(tmp_path)] == [1, 2, 1, 4]


@pytest.mark.parametrize("torn", ["", "sample,mod", "sample,modality,reason\n1,wave,gone\n2,wa"])
def test_a_torn_list_of_skipped_is_mended(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "skipped.csv"
    path.write_text(torn)
    Skipped(path).add([(3, "wave", "short")])
    before = "1,wave,gone\n" if "gone" in torn else ""
    assert path.read_text() == f"sample,modality,reason\n{before}3,wave,short\n"


@pytest.mark.parametrize(("samples", "many"), [(0, False), (10, False), (11, True)])
def test_how_much_was_unreadable(samples: int, many: bool) -> None:
    assert Unread(samples, samples, 100).many == many
    assert not Unread(0, 0, 0).many
    assert str(Unread(1500, 1200, 5000)) == (
        "1,200 of 5,000 samples (24.0 %) had something unreadable, 1,500 items in all"
    )


def test_without_a_terminal_there_is_a_line_an_epoch() -> None:
    out = io.StringIO()
    line = ProgressLine(Console(file=out, width=40), start=0, steps=5, steps_per_epoch=2, batch_size=8, quiet=False)
    line.show([{"step": s, "epoch": (s - 1) // 2, "loss": float(s), "lr": 0.1} for s in range(1, 6)])
    lines = out.getvalue().splitlines()
    assert [text.split("  ")[:2] for text in lines] == [
        ["epoch 1/3", "loss 1.5000"],
        ["epoch 2/3", "loss 3.5000"],
        ["epoch 3/3", "loss 5.0000"],
    ]


def test_clock_time() -> None:
    assert [clock_time(s) for s in (0, 95, 4000)] == ["0:00", "1:35", "1:06:40"]


# -- folders, recipes, fitted state ----------------------------------------------------------------------------------


def test_fitted_state_round_trips(tmp_path: Path) -> None:
    state = {
        "views": {"wave": {"mean": np.arange(6.0).reshape(2, 3).T, "words": ["a", "ü"], "n": np.int64(3)}},
        "eval": {"echo": {"0": {"scale": torch.ones(2, dtype=torch.float64), "none": None}}},
    }
    save_fitted(tmp_path, state)
    back = load_fitted(tmp_path)
    np.testing.assert_array_equal(back["views"]["wave"]["mean"], state["views"]["wave"]["mean"])
    assert back["views"]["wave"]["words"] == ["a", "ü"]
    assert back["views"]["wave"]["n"] == 3
    assert torch.equal(back["eval"]["echo"]["0"]["scale"], torch.ones(2, dtype=torch.float64))
    (tmp_path / "fitted.safetensors").write_bytes(b"?")
    with pytest.raises(CheckpointError, match="fitted state"):
        load_fitted(tmp_path)


def test_the_resolved_config_loads_to_itself(project: Path, tmp_path: Path) -> None:
    config = Config.load(project)
    tree = resolved(config)
    assert tree["data"] == str(project.parent / "things.jsonl")
    assert tree["train"]["schedule"] == "cosine"
    again = Config.of(tree)
    assert again.run.train == config.run.train
    assert resolved(again) == tree


def test_a_config_lies_over_its_recipe() -> None:
    recipe = {"views": {"wave": {"use": "wobble", "sigma": 1}}, "train": {"lr": 1, "epochs": 5}}
    assert lay_over(recipe, {"views": {"wave": {"sigma": 2}}, "train": {"lr": 3}}) == {
        "views": {"wave": {"use": "wobble", "sigma": 2}},
        "train": {"lr": 3, "epochs": 5},
    }
    assert lay_over(recipe, {"views": {"wave": {"use": "flip"}}})["views"] == {"wave": {"use": "flip"}}
    assert lay_over(recipe, {"views": {"wave": "flip"}})["views"] == {"wave": "flip"}


def test_arguments_lie_over_a_name() -> None:
    term = {"loss": "nce", "denominator": "not self"}
    assert lay_over(term, {"loss": {"denominator": "negatives"}})["loss"] == {"use": "nce", "denominator": "negatives"}
    weighed = {"not same(sample)": 2.0}
    assert lay_over(term, {"denominator": weighed})["denominator"] == weighed  # a predicate is no component's name


def test_recipes_by_name() -> None:
    configure()
    registry().add("recipe", "mine", {"method": "simclr", "train": {"lr": 1.0, "epochs": 5}})
    config = with_recipe(Config.of({"data": "x", "recipe": "mine", "train": {"lr": 0.5}}))
    assert (config.run.method, config.run.train.lr, config.run.train.epochs) == ("simclr", 0.5, 5)
    with pytest.raises(ConfigError, match="did you mean 'mine'") as e:
        with_recipe(Config.of({"data": "x", "recipe": "mein"}))
    assert e.value.path == ("recipe",)
    configure()


def test_a_preset_is_changed_by_what_the_config_adds(project: Path) -> None:
    changed = Config.load(project, ["method={use: moco-v2, sources: {queue: {size: 64}}}"])
    parts = Parts(changed)
    assert parts.recipe["sources"]["queue"] == {"use": "queue", "of": "key", "size": 64}
    assert parts.recipe["terms"]["info_nce"]["tau"] == 0.2
    assert Parts(Config.load(project, ["method=moco-v2"])).recipe["sources"]["queue"]["size"] == 65536


def test_the_fingerprint_tells_methods_apart_and_nothing_else(project: Path) -> None:
    def of(*overrides: str) -> str:
        parts = Parts(Config.load(project, overrides))
        return fingerprint(parts.recipe, parts.make_method())

    assert of() == of("train.lr=0.5", "train.seed=3")
    assert (
        len(
            {
                of(),
                of("method.terms.info_nce.tau=0.5"),
                of("encoders.wave.width=16", "encoders.echo.width=16"),
                of("method=simclr"),
            }
        )
        == 3
    )


def test_python_sees_the_file_and_line_of_a_wrong_config_too(tmp_path: Path) -> None:
    from contrapose import ConfigError, train

    file = tmp_path / "my.yaml"
    file.write_text("data: x.parquet\nmodalities: {nosuch: x}\ntrain:\n  epochs: 2\n")
    with pytest.raises(ConfigError, match=r"my\.yaml:2: modalities\.nosuch"):
        train(file, out=tmp_path / "run")
