"""View generators: plain functions of data, a random generator, and what a config may set."""

import numpy as np
from contrapose import view


@view("my_modality")
def drift(grid: np.ndarray, rng: np.random.Generator, shift: int = 4, noise: float = 0.5) -> np.ndarray:
    """Roll the grid by up to ``shift`` cells each way, change its gain, add noise."""
    rolled = np.roll(grid, rng.integers(-shift, shift, size=2, endpoint=True), axis=(0, 1))
    return (rolled * rng.uniform(0.8, 1.25) + rng.normal(0, noise, grid.shape)).astype(np.float32)
