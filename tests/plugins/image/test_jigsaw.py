from __future__ import annotations

import numpy as np
import pytest
import torch

from contrapose import ConfigError, Sample, build
from contrapose.methods.patched import pirl
from contrapose.views import ViewPlan
from contrapose_image import jigsaw
from contrapose_image.jigsaw import NAMES, Jigsaw


def places(size: int, tile: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Row and column of each tile's corner: the crop is replaced by a picture that holds its coordinates."""
    y, x = np.mgrid[:size, :size]
    grid = torch.from_numpy(np.stack([y, x, x])).float()
    monkeypatch.setattr(jigsaw, "random_resized_crop", lambda image, rng, size, scale: grid)
    monkeypatch.setattr(jigsaw, "flip", lambda image, rng: image)
    made = Jigsaw(size, tile)(Sample(0, {"image": None}), np.random.default_rng(seed))
    assert [v.name for v in made] == list(NAMES)
    assert {tuple(v.data.shape) for v in made} == {(3, tile, tile)}
    for v in made:
        assert (v.data[0] - v.data[0, 0, 0]).equal(torch.arange(tile).float()[:, None].expand(tile, tile))
    return [(int(v.data[0, 0, 0]), int(v.data[1, 0, 0])) for v in made]


def test_each_cell_gives_one_tile_that_lies_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first_cells, offsets = set(), set()
    for seed in range(200):
        corners = places(48, 14, seed, monkeypatch)
        cells = [(top // 16, left // 16) for top, left in corners]
        assert sorted(cells) == [(i, j) for i in range(3) for j in range(3)]
        assert all(top % 16 <= 2 and left % 16 <= 2 for top, left in corners)
        first_cells.add(cells[0])
        offsets |= {(top % 16, left % 16) for top, left in corners}
    assert len(first_cells) == 9
    assert len(offsets) == 9


def test_cells_of_the_paper_are_85_pixels_and_tiles_64(monkeypatch: pytest.MonkeyPatch) -> None:
    corners = [c for seed in range(300) for c in places(255, 64, seed, monkeypatch)]
    within = np.array(corners) % 85
    assert within.min() == 0
    assert within.max() == 21
    assert np.array(corners).max() + 64 == 255


def test_a_tile_may_fill_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(places(9, 3, 0, monkeypatch)) == [(i, j) for i in (0, 3, 6) for j in (0, 3, 6)]
    with pytest.raises(ConfigError, match="a tile of 17 is larger than a cell, 16 of 48 pixels") as error:
        build("view", {"use": "image/jigsaw", "size": 48, "tile": 17}, ("views", "image"))
    assert error.value.path == ("views", "image", "tile")


def test_it_fills_pirls_slots() -> None:
    puzzle = [{"use": "image/color-jitter"}, {"use": "image/jigsaw", "size": 48, "tile": 14}]
    nodes = {"image": puzzle, "image.whole": {"use": "image/simclr-cifar", "size": 32}}
    plan = ViewPlan.from_config(nodes, pirl()["slots"], build, ["image"])
    picture = np.random.default_rng(0).integers(256, size=(32, 40, 3), dtype=np.uint8)
    made = {v.name: tuple(v.data.shape) for v in plan.make(Sample(0, {"image": picture}), 0, 0)}
    assert made == {"image/whole": (3, 32, 32)} | {f"image/patch_{i}": (3, 14, 14) for i in range(9)}
