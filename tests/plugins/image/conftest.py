from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """A smooth 60 x 80 picture with all hues and a hard edge."""
    y, x = np.mgrid[:60, :80]
    picture = np.stack([x * 3, y * 4, (x + y) * 1.5], axis=2).astype(np.uint8)
    picture[20:40, 30:50] = (250, 10, 60)
    return picture
