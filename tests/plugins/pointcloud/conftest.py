from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def cloud() -> NDArray[np.float32]:
    """200 points, wide in x, high in y, off the origin."""
    rng = np.random.default_rng(7)
    return (rng.normal(size=(200, 3)) * [2, 1, 0.5] + [3, -1, 10]).astype(np.float32)
