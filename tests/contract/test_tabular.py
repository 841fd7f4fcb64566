"""The tabular plugin under the contracts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contrapose import Batch, Method, Sample, ViewBatch
from contrapose.testing import (
    EncoderContract,
    LossContract,
    MethodContract,
    MixerContract,
    ModalityContract,
    ViewContract,
)
from contrapose_tabular.modality import Tabular


def row(i: int) -> dict[str, Any]:
    """A piece of furniture: numbers of unlike scale, words, booleans, and blanks in each."""
    return {
        "width": None if i % 7 == 3 else 40.0 + (37 * i) % 101,
        "mass": 1e-3 * (11 * i % 17),
        "shelves": i * i % 5,
        "wood": None if i % 9 == 4 else ("oak", "pine", "ash")[i % 3],
        "movable": None if i % 8 == 5 else i % 4 == 0,
    }


ROWS = [row(i) for i in range(40)]
TABLE = Tabular()
TABLE.fit(ROWS)
BROKEN = [
    {"width": "wide"},
    {"width": float("inf")},
    {"wood": 3},
    {"movable": "perhaps"},
    {"shelves": b"2"},
]


class TestTabular(ModalityContract):
    spec = "tabular"
    cells = ROWS
    broken = [ROWS[0] | wrong for wrong in BROKEN] + [{"width": 40.0}]


class TestTypedTabular(ModalityContract):
    spec = "tabular"
    arguments = {"types": {"shelves": "categorical"}}
    cells = ROWS


class TestNumbersAlone(ModalityContract):
    spec = "tabular"
    cells = [{"width": cells["width"], "mass": cells["mass"]} for cells in ROWS if cells["width"] is not None]


class TestWordsAlone(ModalityContract):
    spec = "tabular"
    cells = [{"wood": cells["wood"]} for cells in ROWS if cells["wood"] is not None]


class TestCorruptions(ViewContract):
    specs: dict[str, dict[str, Any]] = {
        "tabular/scarf": {"rate": 0.4},
        "tabular/vime": {},
        "tabular/subset": {"which": 1, "of": 2},
        "tabular/subsets": {"of": 2},
    }
    cells = ROWS


class TestConditional(ViewContract):
    """Fitted on rows with labels; those that it then views have none, and draw from all."""

    spec = "tabular/conditional"
    arguments = {"rate": 0.4}
    cells = ROWS

    @cached_property
    def samples(self) -> list[Sample]:
        return [replace(sample, meta={"label": i % 3}) for i, sample in enumerate(super().samples)]


class TestBernoulliScarf(ViewContract):
    spec = "tabular/scarf"
    arguments = {"rate": 0.4, "choose": "bernoulli"}
    cells = ROWS


class TestGaussianSubset(ViewContract):
    spec = "tabular/subset"
    arguments = {"of": 2, "noise": "gaussian"}
    cells = ROWS


class TestQuietSubsets(ViewContract):
    spec = "tabular/subsets"
    arguments = {"of": 2, "noise": "none"}
    cells = ROWS
    random = False


class TestEvaluationView(ViewContract):
    spec = "tabular/eval"
    cells = ROWS
    random = False


class TestInBatch(MixerContract):
    specs: dict[str, dict[str, Any]] = {"tabular/in-batch": {}}
    cells = ROWS


class TestCutMix(MixerContract):
    spec = "tabular/in-batch"
    arguments = {"choose": "bernoulli", "donors": "one"}
    cells = ROWS


class TestSaint(MixerContract):
    """Its rows have those beside them that the encoder mixes them with."""

    spec = "tabular/saint"
    cells = ROWS
    more = ("with_numeric", "with_categories", "share")


class TestEncoders(EncoderContract):
    specs: dict[str, dict[str, Any]] = {
        "tabular/mlp": {"layers": 2, "width": 16},
        "tabular/resnet": {"width": 16, "categories": 4},
        "tabular/ft-transformer": {"layers": 2, "width": 16, "heads": 2},
    }
    cells = ROWS[:8]


class TestDenseTransformer(EncoderContract):
    spec = "tabular/ft-transformer"
    arguments = {"layers": 2, "width": 16, "heads": 2, "numbers": "piecewise", "dense": True}
    cells = ROWS[:8]


class TestPeriodicTransformer(EncoderContract):
    spec = "tabular/ft-transformer"
    arguments = {"layers": 1, "width": 16, "heads": 2, "numbers": "periodic"}
    cells = ROWS[:8]


class OnRows:
    """Toy data of these contracts are rows of the table above."""

    facts = TABLE.facts()

    def rows(self, count: int, dtype: torch.dtype, draw: torch.Generator) -> dict[str, Tensor]:
        data = TABLE.collate([TABLE.load(ROWS[i % len(ROWS)], Path()) for i in range(count)])
        numeric = data["numeric"].to(dtype)
        return {**data, "numeric": numeric + torch.randn(numeric.shape, generator=draw, dtype=dtype)}


class TestLosses(OnRows, LossContract):
    specs: dict[str, dict[str, Any]] = {
        "tabular/reconstruct": {"target": "b"},
        "tabular/changed": {"target": "b"},
        "tabular/denoise": {"target": "b"},
    }

    def make(self, **facts: Any) -> Any:
        return super().make(**self.facts, **facts)

    def method(self, dtype: torch.dtype = torch.float64, **more: Any) -> Method:
        torch.manual_seed(0)
        query = "online.dense" if self.spec == "tabular/denoise" else "online"
        data = {"branches": {"online": {"views": "*"}}, "terms": {"it": {"loss": self.node, "query": query, **more}}}
        return Method.from_data(data, {"tabular": Cellwise(5)}, facts={"tabular": self.facts}).to(dtype)

    def batch(self, count: int = 6, dtype: torch.dtype = torch.float64, without: Sequence[str] = ()) -> Batch:
        draw, views = torch.Generator().manual_seed(1), {}
        for slot in "ab":
            index = torch.arange(0 if slot in without else count)
            data = self.rows(count, dtype, draw) if count else None
            views[f"tabular/{slot}"] = ViewBatch(data if len(index) else None, "tabular", index)
        return Batch(torch.arange(count) + 10, views, {"label": torch.arange(count) % 3})


class Cellwise(nn.Module):
    """Rows of numbers and codes to ``pooled`` (n, 6), ``dense`` (n, columns, 6) and ``flat``."""

    modality = "tabular"

    def __init__(self, columns: int, width: int = 6) -> None:
        super().__init__()
        self.dims = {"pooled": width, "dense": width, "flat": columns * width}
        self.weight = nn.Parameter(torch.randn(columns, width))

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        cells = torch.cat([data["numeric"].nan_to_num(), data["categories"].to(data["numeric"].dtype)], 1)
        dense = torch.tanh(cells[:, :, None] * self.weight)
        return {"pooled": dense.mean(1), "dense": dense, "flat": dense.flatten(1)}


class TestScarfMethod(MethodContract):
    spec = "tabular/scarf"


class TestMethodsOfRows(OnRows, MethodContract):
    specs: dict[str, dict[str, Any]] = {
        "tabular/vime": {},
        "tabular/saint": {},
        "tabular/subtab": {"subsets": 3, "width": 8},
    }

    def method(self, seed: int = 0) -> Method:
        torch.manual_seed(seed)
        method = Method.from_data(self.data, {"tabular": Cellwise(5)}, facts={"tabular": self.facts})
        method.clock.start(steps_per_epoch=1, epochs=3)
        return method.double()

    def batch(self, count: int = 8, seed: int = 0, missing: Any = ()) -> Batch:
        draw, views = torch.Generator().manual_seed(seed), {}
        slots = self.data["slots"]
        for slot in slots:
            gone = missing if slot == slots[-1] else ()
            index = torch.tensor([i for i in range(count) if i not in gone], dtype=torch.int64)
            data = self.rows(count, torch.float64, draw) if count else None
            rows = {part: cells[index] for part, cells in data.items()} if data and len(index) else None
            views[f"tabular/{slot}"] = ViewBatch(rows, "tabular", index)
        return Batch(torch.randperm(count, generator=draw), views, {})
