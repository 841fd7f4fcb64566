"""Frozen towers: no gradient, no statistics, no dropout, no place in the optimiser; all else is trained as before."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.end_to_end.waves import Net

from contrapose.engine.frozen import frozen_line
from contrapose.engine.gradcache import backward_in_chunks
from contrapose.errors import ConfigError
from contrapose.methods.arch import pair_graph
from contrapose.methods.method import Method
from contrapose.types import Batch, ViewBatch

PAIRS = pair_graph([["wave", "echo"], ["wave", "wave"]], hidden=8, out=4)
SIAMESE = {
    "branches": {
        "online": {"views": ["a", "b"], "projector": {"use": "mlp", "out": 4}},
        "key": {"views": ["a", "b"], "of": "online", "weights": "ema", "momentum": 0.5},
    },
    "terms": {"t": {"query": "online", "keys": ["key"], "positives": "same(sample) and not same(view)", "tau": 0.2}},
}


def make(recipe: Any = PAIRS, norm: bool = True, **frozen: str) -> Method:
    torch.manual_seed(0)
    method = Method.from_data(recipe, {m: Net(m, 6, norm=norm) for m in ("wave", "echo")}, frozen=frozen)
    method.clock.start(10, 1)
    return method.train()


def batch(seed: int = 0, rows: int = 8) -> Batch:
    made = torch.Generator().manual_seed(seed)
    views = {
        f"{m}/{slot}": ViewBatch(torch.randn(rows, 32, generator=made), m, torch.arange(rows))
        for m in ("wave", "echo")
        for slot in ("a", "b")
    }
    return Batch(torch.arange(rows), views)


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in module.state_dict().items()}


def moved(before: dict[str, torch.Tensor], module: torch.nn.Module) -> set[str]:
    return {name for name, t in module.state_dict().items() if not torch.equal(before[name], t)}


def steps(method: Method, count: int = 3, chunk: int | None = None) -> None:
    optimizer = torch.optim.AdamW(method.param_groups(0.1), lr=0.1)
    for step in range(count):
        if chunk is None:
            method(batch(step)).loss.backward()
        else:
            backward_in_chunks(method, batch(step), chunk, batchnorm=True)
        optimizer.step()
        optimizer.zero_grad()
        method.advance()


@pytest.mark.parametrize("chunk", [None, 3])
def test_a_frozen_encoder_stands_still_and_its_projector_learns(chunk: int | None) -> None:
    method = make(wave="encoder")
    before = state(method.towers)
    steps(method, chunk=chunk)
    changed = moved(before, method.towers)
    assert not [name for name in changed if name.startswith("encoders.wave.")]
    for part in ("projectors.wave.", "encoders.echo.", "projectors.echo."):
        assert [name for name in changed if name.startswith(part)], part


@pytest.mark.parametrize("chunk", [None, 3])
def test_a_frozen_tower_stands_still_as_a_whole(chunk: int | None) -> None:
    method = make(wave="tower")
    before = state(method.towers)
    steps(method, chunk=chunk)
    assert {name.split(".")[1] for name in moved(before, method.towers)} == {"echo"}
    assert not method.towers.encoders["wave"].training
    assert not method.towers.projectors["wave"].training
    assert method.towers.projectors["echo"].training


def test_the_optimiser_knows_nothing_of_it() -> None:
    method = make(wave="tower")
    own = {*method.towers.encoders["wave"].parameters(), *method.towers.projectors["wave"].parameters()}
    trained = {p for group in method.param_groups(0.1) for p in group["params"]}
    assert not own & trained
    assert trained == {p for p in method.parameters() if p.requires_grad}


def test_the_gradient_of_the_others_is_that_of_a_tower_in_eval_mode() -> None:
    frozen, free = (make(norm=False, **kind).double() for kind in ({"wave": "tower"}, {}))
    free.towers.encoders["wave"].eval()
    free.towers.projectors["wave"].eval()
    data = batch().map(lambda t: t.double() if t.is_floating_point() else t)
    losses = []
    for method in (frozen, free):
        torch.manual_seed(1)
        losses.append(method(data).loss)
        losses[-1].backward()
    torch.testing.assert_close(*losses, rtol=0, atol=1e-14)
    for (name, p), q in zip(frozen.named_parameters(), free.parameters(), strict=True):
        if ".wave." in name:
            assert p.grad is None
            assert q.grad is not None
        else:
            torch.testing.assert_close(p.grad, q.grad, rtol=0, atol=1e-14, msg=name)


def test_a_momentum_twin_of_it_stands_still_too() -> None:
    method = make(SIAMESE, wave="encoder")
    before = state(method.towers)
    steps(method)
    changed = moved(before, method.towers)
    assert not [name for name in changed if "encoders.wave." in name]
    assert [name for name in changed if name.startswith("twins.") and ".encoders.echo." in name]


def test_a_projector_that_others_train_cannot_be_frozen() -> None:
    with pytest.raises(ConfigError, match="the projector of the branch 'online' is that of echo too") as told:
        make(SIAMESE, wave="tower")
    assert told.value.path == ("train", "frozen", "wave")
    make(SIAMESE, wave="tower", echo="tower")
    with pytest.raises(ConfigError, match="no encoder 'waev'; did you mean 'wave'"):
        make(waev="encoder")


def test_it_is_embedded_all_the_same() -> None:
    assert {*make(wave="tower").embed(batch())} == {"wave", "echo"}


def test_what_is_frozen_is_told_in_a_line() -> None:
    method = make(wave="tower", echo="encoder")
    free = sum(p.numel() for p in method.towers.projectors["echo"].parameters())
    every = sum(p.numel() for p in method.parameters())
    assert frozen_line(method) == (
        f"frozen: echo (encoder), wave (encoder and projector); {free:,} of {every:,} parameters are trained"
    )
    assert frozen_line(make()) is None


def test_encoded_views_take_the_place_of_the_encoder() -> None:
    method = make(wave="encoder")
    data = batch()
    with torch.no_grad():
        taps = {n: method.towers.encoders["wave"](v.data) for n, v in data.views.items() if v.modality == "wave"}
    views = {
        n: ViewBatch(taps[n], v.modality, v.index, encoded=True) if n in taps else v for n, v in data.views.items()
    }
    kept = Batch(data.sample, views)
    losses = []
    for given in (data, kept, kept.take(torch.arange(8)), kept.to("cpu")):
        torch.manual_seed(2)
        losses.append(method.loss(given).loss.item())
    assert losses == [losses[0]] * 4
