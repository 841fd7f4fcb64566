"""What a method preset must keep. It is built and trained over invented modalities."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from contrapose.config import build
from contrapose.config.yaml import parse
from contrapose.engine.recipe import lay_over
from contrapose.methods.describe import described
from contrapose.methods.method import SECTIONS, Method
from contrapose.plugins import registry
from contrapose.testing.compare import must, same, stir
from contrapose.testing.contract import Contract
from contrapose.testing.draw import MISSING, ROWS, SEEDS, drawn
from contrapose.testing.toy import ToyEncoder, snapshot, step, toy_batch
from contrapose.types import Batch
from contrapose.views.plan import ViewPlan

PAGE = 40
"""Lines within which a preset's file can be read."""
SAMPLES, STEPS = 8, 3
MOST = 16
"""Larger numbers in the heads and sources of a preset (widths, sizes of queues) are made so small, so that it is quick."""


class MethodContract(Contract):
    """A preset builds over any modality, trains what it should, resumes in the same bits, and says what it is.

    Its branches' views are of the modalities that they name (``a/*``), else of one that is invented.

    Attributes:
        arguments: of a preset that is a function, by default its Spec's ``example``; and sections laid over what it gives, as in a
            config, to make it small: ``{"sources": {"queue": {"size": 16}}}``.
        views: how many views a sample has in each modality, where the method declares no slots.
        published: False for a method that isn't of a paper.
        still: parts of the method that don't learn in these steps, by the beginning of their parameters' names.
    """

    kind = "method"
    views: int = 2
    published: bool = True
    still: tuple[str, ...] = ()

    @property
    def node(self) -> dict[str, Any]:
        """The preset as a config says it; ``component`` may be a mapping."""
        found = self.spec or inspect.getattr_static(self, "component")
        assert found is not None, 'say what this class holds: spec = "plugin/name", or component = mapping or function'
        return {"use": found.__func__ if isinstance(found, staticmethod) else found}

    @cached_property
    def data(self) -> dict[str, Any]:
        """The method as data, under ``arguments``."""
        sections = {k: v for k, v in self.arguments.items() if k in SECTIONS}
        given = {k: v for k, v in self.arguments.items() if k not in SECTIONS}
        if callable(self.target):
            with must("a preset must give a method's mapping of its arguments"):
                made = build("method", {"use": self.target, **{**self._example, **given}}, modalities=["toy"])
        else:
            assert not given, (
                f"a preset that is data takes no arguments, but sections of a method: {', '.join(SECTIONS)}"
            )
            made = self.target
        assert isinstance(made, Mapping), f"a preset is a method's mapping, or a function that gives one, not {made!r}"
        return dict(lay_over(small(made), sections))

    @property
    def _example(self) -> dict[str, Any]:
        said = registry().find("method", self.spec).spec.example if self.spec else None
        return dict(parse(f"{{{said}}}", str(self.spec)).data) if said else {}

    def method(self, seed: int = 0) -> Method:
        """The method over toy encoders of all modalities and taps that it names."""
        torch.manual_seed(seed)
        taps = {b["tap"] for b in self.data["branches"].values() if "tap" in b}
        with must("a method must be built of the preset"):
            names = [b.get("encoder") for b in self.data["branches"].values()]
            encoders = {m: ToyEncoder(m, taps, width=8) for m in self.modalities}
            encoders |= {n: ToyEncoder(self.modalities[0], taps, width=8) for n in names if n}
            method = Method.from_data(self.data, encoders)
        method.clock.start(steps_per_epoch=1, epochs=STEPS)
        return method.double()

    @property
    def modalities(self) -> list[str]:
        """What its views are of."""
        views = [b["views"] for b in self.data["branches"].values()]
        globs = [g for v in views for g in ([v] if isinstance(v, str) else v)]
        return list(dict.fromkeys(g.partition("/")[0] for g in globs if "/" in g)) or ["toy"]

    def batch(self, count: int = SAMPLES, seed: int = 0, missing: Any = ()) -> Batch:
        """A batch with all views; the samples ``missing`` lack the last."""
        slots = self.data.get("slots") or [str(n) for n in range(self.views)]
        own = self.data.get("views") or {}
        plan = ViewPlan.from_config(
            {m: {"use": "identity"} for m in self.modalities},
            slots,
            lambda kind, node, path, **context: build(kind, node, path, **context),
            self.modalities,
            own,
        )
        made = [name for p in plan.planned for name in p.names]
        batch = toy_batch(made, count, seed, {made[-1]: missing})
        for mixed in plan.mixed:
            draw = torch.Generator().manual_seed(seed)
            if batch.views[mixed.of].data is not None:
                batch.views[mixed.name] = mixed.mixer.mix(batch.views[mixed.of], batch.sample, draw)
            else:
                batch.views[mixed.name] = batch.views[mixed.of]
        return batch

    def train(self, method: Method, steps: int, first: int = 0) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The losses of some steps, each of an epoch of its own, and by name the largest gradient of all of them."""
        losses, grads = [], dict[str, Tensor]()
        for n in range(first, first + steps):
            if method.needs_epoch:
                whole = self.batch(SAMPLES, 99)
                with must("a method must be able to begin an epoch"):
                    method.epoch(lambda ref, whole=whole: method.table(whole, ref))  # type: ignore[misc]
            loss, found = step(method, self.batch(SAMPLES, n))
            losses.append(loss)
            grads |= {k: torch.maximum(g.abs(), grads[k]) if k in grads else g.abs() for k, g in found.items()}
        return losses, grads

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_three_steps_are_finite(self) -> None:
        """Built over invented modalities, it trains: losses, gradients and weights stay finite."""
        method = self.method()
        losses, grads = self.train(method, STEPS)
        assert all(loss.isfinite() for loss in losses), f"the loss must be finite, not {[float(x) for x in losses]}"
        broken = [n for n, g in grads.items() if not g.isfinite().all()]
        assert not broken, f"gradients must be finite, but not in {', '.join(broken)}"

    def test_every_branch_learns(self) -> None:
        """Some gradient reaches every parameter that is trained."""
        method = self.method()
        _, grads = self.train(method, STEPS)
        trained = [
            n for n, p in method.named_parameters() if p.requires_grad and not n.startswith(self.still or ("?",))
        ]
        missed = [n for n in trained if n not in grads or not grads[n].any()]
        assert not missed, f"no gradient reaches {', '.join(missed)}: let a term read it, or name it in still"

    @drawn(examples=4, rows=ROWS, seed=SEEDS, missing=MISSING)
    def test_any_batch_will_do(self, rows: int, seed: int, missing: set[int]) -> None:
        """No sample, one, and samples that lack a view: the step runs, and the loss is finite."""
        method = self.method()
        self.train(method, 1)
        loss, _ = step(method, self.batch(rows, seed, missing))
        assert loss.isfinite(), f"the loss must be finite whatever a batch lacks, not {float(loss)}"

    def test_it_resumes_exactly(self) -> None:
        """From its ``state_dict`` after two steps, the third ends in the same bits."""
        method, again = self.method(), self.method(seed=1)
        self.train(method, 2)
        file = self.folder / "method.safetensors"
        with must("state_dict must go through safetensors into another"):
            safetensors.torch.save_file({k: t.contiguous() for k, t in method.state_dict().items()}, file)
            again.load_state_dict(safetensors.torch.load_file(file))
        ends = []
        for n, one in enumerate((method, again)):
            stir(n)
            losses, _ = self.train(one, 1, first=2)
            ends.append({"the loss": losses[0], **snapshot(one)})
        differs = [n for n in ends[0] if n not in ends[1] or not same(ends[0][n], ends[1][n])]
        assert not differs, f"a resumed run must end in the same bits, but not so {', '.join(differs[:4])}"

    def test_its_file_fits_a_page(self) -> None:
        """A YAML file of at most 40 lines: one reads it, copies it and changes a line."""
        offer = self._offer()
        package, _, name = offer.spec.target.partition(":")
        if not name.endswith((".yaml", ".yml")):
            pytest.skip("the preset is a function")
        lines = resources.files(package).joinpath(name).read_text(encoding="utf-8").splitlines()
        assert len(lines) <= PAGE, f"{name} has {len(lines)} lines: a preset's file has at most {PAGE}"

    def test_it_names_its_paper(self) -> None:
        """In its Spec, so that who uses it knows whom to cite."""
        offer = self._offer()
        assert offer.spec.paper or not self.published, (
            f"give the Spec of {offer.name} its paper, or say published = False on this class"
        )

    def test_contrapose_methods_tells_of_it(self) -> None:
        """Its pattern, positives, negatives and loss are read off its data; one with arguments has an example in its Spec."""
        offer = self._offer()
        assert described(offer) is not None, (
            f"contrapose methods can't tell of {offer.name}: give its Spec an example, the YAML of arguments that it needs"
        )

    # -- what a mapping has in another way ----------------------------------------------------------------------------

    def test_it_loads_and_says_what_it_is(self) -> None:
        """The offer has a summary in one line, and the target is a mapping or a function."""
        offer = self._offer()
        assert offer.spec.summary.strip(), f"give the Spec of {offer.name} a summary: one line for people"
        assert "\n" not in offer.spec.summary, f"the summary of {offer.name} must be one line"
        assert callable(self.target) or isinstance(self.target, Mapping), (
            f"{offer.spec.target} must be a mapping, or a function that gives one"
        )

    def test_it_is_documented(self) -> None:
        """A function has a docstring; a file speaks for itself."""
        if callable(self.target):
            super().test_it_is_documented()

    def test_its_arguments_are_named_and_typed(self) -> None:
        """A config sees every argument of a function, with a type to check it by."""
        if callable(self.target):
            super().test_its_arguments_are_named_and_typed()


def small(data: Mapping[str, Any]) -> dict[str, Any]:
    """A method's mapping with the whole numbers in its heads and sources made at most ``MOST``."""
    branches = {
        name: {k: _small(v) if k in ("projector", "predictor") else v for k, v in branch.items()}
        for name, branch in data["branches"].items()
    }
    return {**data, "branches": branches, **({"sources": _small(data["sources"])} if data.get("sources") else {})}


def _small(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {k: _small(v) for k, v in node.items()}
    if isinstance(node, list):
        return [_small(v) for v in node]
    return min(node, MOST) if isinstance(node, int) and not isinstance(node, bool) else node
