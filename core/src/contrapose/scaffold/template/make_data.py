"""Writes data/recording.npz: grids crossed by waves under noise, each of its own direction, pace and course."""

from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "data" / "recording.npz"


def main(count: int = 256, size: int = 16) -> None:
    """Write ``count`` grids of ``size`` x ``size`` numbers; a label is the eighth of a circle that its wave is from."""
    rng = np.random.default_rng(0)
    direction, pace = rng.uniform(0, np.pi, (count, 1, 1)), rng.uniform(0.5, 1.5, (count, 1, 1))
    course = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    y, x = np.mgrid[:size, :size]
    waves = np.sin(pace * (np.cos(direction) * x + np.sin(direction) * y) + course)
    grids = waves + rng.normal(0, 1, waves.shape)
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, grids=grids.astype(np.float32), label=(direction.ravel() // (np.pi / 4)).astype(np.int64))


if __name__ == "__main__":
    main()
