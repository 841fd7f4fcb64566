"""The tabular plugin under the contracts."""

from __future__ import annotations

from typing import Any

from contrapose.testing import EncoderContract, MethodContract, ModalityContract, ViewContract


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


class TestScarf(ViewContract):
    spec = "tabular/scarf"
    arguments = {"rate": 0.4}
    cells = ROWS


class TestEvaluationView(ViewContract):
    spec = "tabular/eval"
    cells = ROWS
    random = False


class TestMLP(EncoderContract):
    spec = "tabular/mlp"
    arguments = {"layers": 2, "width": 16}
    cells = ROWS[:8]


class TestScarfMethod(MethodContract):
    spec = "tabular/scarf"
