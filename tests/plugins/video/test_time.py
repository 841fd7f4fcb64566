"""Time in clips as they come out of the loader: whoever is near, whoever is far, and the same clips whoever makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.video.films import film
from tests.plugins.video.test_decode import UNEVEN

from contrapose import Config
from contrapose.engine.build import Parts
from contrapose.testing.plans import whole
from contrapose.testing.toy import outputs
from contrapose.types import Batch

NEAR = 0.8
SLOTS = {"rho-moco": {"clips": 4, "size": 32}, "rho-byol": {"clips": 4, "hidden": 8}, "cvrl": {"hidden": 8}, "pace": {}}
VIEWS: dict[str, dict[str, Any]] = {
    "rho-moco": {"use": "video/rho", "clips": 4},
    "rho-byol": {"use": "video/rho", "clips": 4},
    "cvrl": {"use": "video/cvrl"},
    "pace": {"use": "video/pace", "paces": 2},
}


def parts(folder: Path, name: str = "rho-moco", method: Any = None, **train: Any) -> Parts:
    """A run on films of 10 and of a changing rate; clips of five frames a second."""
    for i in range(6):
        (folder / f"{i}.mp4").write_bytes(film(30, times=UNEVEN) if i % 2 else film(30 + i))
    (folder / "films.csv").write_text("\n".join(["file", *(f"{i}.mp4" for i in range(6))]))
    view = {**VIEWS[name], "frames": 2, "fps": 5, "size": 16, "then": "video/crop"}
    config = Config.of(
        {
            "data": str(folder / "films.csv"),
            "modalities": {"video": "file"},
            "split": "none",
            "views": {"video": view},
            "encoders": {"video": {"use": "video/small", "width": 2}},
            "method": method or {"use": f"video/{name}", "near": NEAR, **SLOTS[name]},
            "train": {"batch_size": 6, "device": "cpu", **train},
        }
    )
    return Parts(config)


@pytest.mark.parametrize("name", SLOTS)
def test_positives_of_each_preset_are_near_in_time(name: str, tmp_path: Path) -> None:
    """Of one video, at most ``near`` seconds apart by the clips' own times; farther ones aren't negatives either."""
    made = parts(tmp_path, name)
    method = made.make_method()
    out = outputs(method, next(iter(made.train_loader())))
    term = next(t for t in method.terms.values() if t.keys)
    q, keys = out.rows(term.query[0]), out.rows(term.keys[0].rows)
    pairs = whole(term.relation.plan(q, [out.rows(k.rows) for k in term.keys], out))[0]
    video, apart = q.meta["sample"][:, None] == keys.meta["sample"], q.meta["time"][:, None] - keys.meta["time"]
    other = q.meta["view"][:, None] != keys.meta["view"]
    near, far = video & other & (apart.abs() <= NEAR), video & other & (apart.abs() > NEAR)
    assert near.any()
    assert far.any()
    torch.testing.assert_close(pairs.pos > 0, near)
    if name != "rho-byol":  # which has no negatives, and looks at no denominator
        assert not (pairs.den[far] > 0).any()


def test_far_clips_of_a_video_may_be_negatives(tmp_path: Path) -> None:
    """``not near(time, s)``: the same predicates, in a config of one's own."""
    term = {
        "query": "clips",
        "keys": ["clips"],
        "positives": f"same(sample) and near(time, {NEAR}) and not self",
        "denominator": f"(positive or not near(time, {2 * NEAR})) and not self",
    }
    own = {"slots": {"clip": 4}, "branches": {"clips": {"views": "*"}}, "terms": {"in_time": term}}
    made = parts(tmp_path, method=own)
    method = made.make_method()
    out = outputs(method, next(iter(made.train_loader())))
    rows = out.rows("clips")
    (pairs,) = whole(method.terms["in_time"].relation.plan(rows, [rows], out))
    time = rows.meta["time"].numpy()
    apart = np.abs(time[:, None] - time)
    video = rows.meta["sample"].numpy()[:, None] == rows.meta["sample"].numpy()
    positive = video & (apart <= NEAR) & ~np.eye(len(time), dtype=bool)
    np.testing.assert_array_equal(pairs.pos.numpy() > 0, positive)
    np.testing.assert_array_equal(pairs.den.numpy() > 0, positive | (apart > 2 * NEAR))


def clips(made: Parts, epochs: int = 2) -> list[Batch]:
    loader = made.train_loader()
    found = []
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        found += list(loader)
    return found


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(
    "workers", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_the_same_seed_gives_the_same_clips_at_any_number_of_workers(workers: int, tmp_path: Path) -> None:
    """To the last bit, with their times, over two epochs; another seed gives others."""
    alone, several = (clips(parts(tmp_path, workers=n, batch_size=2)) for n in (0, workers))
    assert len(alone) == len(several) == 6
    for a, b in zip(alone, several, strict=True):
        torch.testing.assert_close(a.sample, b.sample, rtol=0, atol=0)
        for name, view in a.views.items():
            assert torch.equal(view.data, b.views[name].data)
            assert torch.equal(view.meta["time"], b.views[name].meta["time"])
    other = clips(parts(tmp_path, seed=1, batch_size=2))
    assert not all(
        torch.equal(a.views["video/clip_0"].data, b.views["video/clip_0"].data)
        for a, b in zip(alone, other, strict=True)
    )
