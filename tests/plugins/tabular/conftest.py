from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contrapose import Sample
from contrapose_tabular.modality import Row, Tabular


@pytest.fixture(scope="session")
def cells() -> list[dict[str, Any]]:
    """400 rows: two numbers, one of them skewed and blank here and there, a boolean, and words of which few are blank."""
    rng = np.random.default_rng(7)
    rows = []
    for i in range(400):
        price = None if rng.random() < 0.1 else float(np.exp(2 * rng.normal()))
        word = None if rng.random() < 0.05 else str(rng.choice(["attic", "bath", "cellar"], p=[0.1, 0.2, 0.7]))
        rows.append({"price": price, "floor": i % 7, "old": bool(rng.random() < 0.3), "room": word})
    return rows


@pytest.fixture(scope="session")
def modality(cells: list[dict[str, Any]]) -> Tabular:
    made = Tabular()
    made.fit(cells)
    return made


@pytest.fixture(scope="session")
def table() -> Row:
    """A training split, rows below each other: 500 rows, 7 numbers and 4 categories, no number negative, all codes below 9.

    Column 0 is skewed, 1 is column 0 again, 2 is mostly one value, 3 is missing in a fifth of the rows.
    """
    rng = np.random.default_rng(3)
    numeric = np.exp(2 * rng.normal(size=(500, 7))).astype(np.float32)
    numeric[:, 1] = numeric[:, 0]
    numeric[:, 2] = np.where(rng.random(500) < 0.9, 1.0, numeric[:, 2])
    numeric[rng.random(500) < 0.2, 3] = np.nan
    categories = np.stack([rng.choice(k + 2, 500, p=rng.dirichlet(np.ones(k + 2))) for k in range(1, 5)], axis=1)
    return {"numeric": numeric, "categories": categories.astype(np.int64)}


@pytest.fixture(scope="session")
def samples(table: Row) -> list[Sample]:
    return [Sample(i, {"tabular": {part: column[i] for part, column in table.items()}}) for i in range(500)]
