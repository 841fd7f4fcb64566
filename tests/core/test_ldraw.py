"""The LDraw example: its reader of parts on a made-up library, its pieces, and the page that its runs wrote."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples/data"), str(ROOT / "examples/ldraw")]

import descriptors  # noqa: E402
import finetune  # noqa: E402
import measure  # noqa: E402
import stretch  # noqa: E402
from build_ldraw import deal, find_families, read_parts  # noqa: E402
from ldraw_parts import Library, is_shape, read_header, stem  # noqa: E402


def load(name: str) -> ModuleType:
    """A file of the example under a name of its own: the methods table has a `render` too."""
    spec = spec_from_file_location(f"ldraw_{name}", ROOT / f"examples/ldraw/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


render = load("render")
SQUARE = "0 A unit square, z = 0\n0 BFC CERTIFY CCW\n4 16 0 0 0 1 0 0 1 1 0 0 1 0\n"


def library(root: Path, **files: str) -> Library:
    """A library of parts, and of a primitive ``square.dat`` and a piece ``s/half.dat``."""
    half = "0 ~A half of a part\r\n1 16 0 0 2 1 0 0 0 1 0 0 0 1 square.dat\r\n"
    for name, text in {"p/square.dat": SQUARE, "parts/s/half.dat": half, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Library(root)


def test_a_part_is_the_faces_of_all_files_that_it_includes(tmp_path: Path) -> None:
    part = (
        "0 Brick\n2 24 0 0 0 9 9 9\n5 24 0 0 0 1 1 1 2 2 2 3 3 3\n"
        "3 16 0 0 0 2 0 0 0 2 0\n"
        "1 16 10 0 0 0 -1 0 1 0 0 0 0 1 SQUARE.DAT\n"  # a quarter turn about z, then ten along x
        "1 16 0 0 0 2 0 0 0 2 0 0 0 2 s\\half.dat\n"  # twice as large, through a piece
    )
    found = library(tmp_path, **{"parts/1.dat": part}).triangles("1.dat")
    turned = [[[10, 0, 0], [10, 1, 0], [9, 1, 0]], [[10, 0, 0], [9, 1, 0], [9, 0, 0]]]
    large = [[[0, 0, 4], [2, 0, 4], [2, 2, 4]], [[0, 0, 4], [2, 2, 4], [0, 2, 4]]]
    np.testing.assert_array_equal(found, [[[0, 0, 0], [2, 0, 0], [0, 2, 0]], *turned, *large])


def test_a_file_that_lacks_is_told_and_a_circle_is_an_error(tmp_path: Path) -> None:
    one = "1 16 0 0 0 1 0 0 0 1 0 0 0 1 "
    parts = library(tmp_path, **{"parts/1.dat": f"0 Brick\n{one}gone.dat\n", "parts/2.dat": f"0 Brick\n{one}2.dat\n"})
    assert len(parts.triangles("1.dat")) == 0
    assert parts.missing == {"gone.dat"}
    with pytest.raises(ValueError, match=r"2\.dat: included 32 deep"):
        parts.triangles("2.dat")


def test_a_header_names_the_category_or_begins_the_title_with_it(tmp_path: Path) -> None:
    (tmp_path / "1.dat").write_text("0 Brick  1 x  2\n0 Author: Ann  Other\n0 !CATEGORY Minifig Accessory\n")
    (tmp_path / "2.dat").write_text("\ufeff0 Plate  1 x  2\n1 16 0 0 0 1 0 0 0 1 0 0 0 1 a.dat\n0 !CATEGORY Late\n")
    assert read_header(tmp_path / "1.dat") == ("Brick 1 x 2", "Minifig Accessory", "Ann Other")
    assert read_header(tmp_path / "2.dat") == ("Plate 1 x 2", "Plate", "")
    assert [is_shape(t) for t in ("Brick 1 x 2", "~Moved to 3", "=Brick", "_Brick Red", "Tile with Star Pattern")] == [
        True, False, False, False, False
    ]  # fmt: skip
    assert [stem(n) for n in ("3127b.dat", "3127c01.dat", "u9142p02.dat", "axle.dat")] == [
        "3127",
        "3127",
        "u9142",
        "axle",
    ]


def test_variants_assemblies_and_the_same_shape_are_a_family(tmp_path: Path) -> None:
    def boxed(x: float, more: str = "") -> str:
        return f"0 Brick\n1 16 0 0 0 {x} 0 0 0 3 0 0 0 1 square.dat\n{more}"

    body = "1 16 0 0 0 1 0 0 0 1 0 0 0 1 1.dat\n"
    parts, read = read_parts(
        library(tmp_path, **{
            "parts/1.dat": boxed(5), "parts/1b.dat": boxed(7), "parts/2.dat": f"0 Brick\n{body}3 16 0 0 0 1 0 0 0 1 0\n",
            "parts/3.dat": boxed(7), "parts/4.dat": boxed(9), "parts/5.dat": boxed(40, body), "parts/6.dat": "0 Nothing\n",
            "parts/7.dat": boxed(3).replace("Brick", "~Moved to 3"),
        }).root
    )  # fmt: skip
    assert [p["id"] for p in parts] == ["1", "1b", "2", "3", "4", "5"]
    assert find_families(parts, read) == [0, 0, 0, 0, 1, 2]  # a variant, mostly 1, like 1b; neither; hardly 1
    cloud = parts[0]["cloud"].astype(float)
    assert cloud.shape == (2048, 3)
    assert np.linalg.norm(cloud, axis=1).max() == pytest.approx(1, abs=1e-3)
    assert parts[0]["size"] == pytest.approx(np.hypot(2.5, 1.5), rel=0.02)
    assert parts[0]["area"] == pytest.approx(15 / parts[0]["size"] ** 2)


def test_no_family_is_on_both_sides() -> None:
    families = np.repeat(np.arange(40), 3)
    held = deal(np.repeat(["a", "b"], 60), families, 4)
    assert 20 <= held.sum() <= 40
    assert not set(families[held]) & set(families[~held])


def test_some_families_are_whole_and_nested() -> None:
    families = np.random.default_rng(0).integers(50, size=400)
    rows = {share: set(finetune.some_families(families, share, 3).tolist()) for share in (0.1, 0.5, 1.0)}
    assert 40 <= len(rows[0.1]) <= 60
    assert rows[0.1] < rows[0.5] < rows[1.0] == set(range(400))
    assert set(families[list(rows[0.1])]).isdisjoint(families[sorted(rows[1.0] - rows[0.1])])


def test_a_classifier_learns_what_tells_classes_apart() -> None:
    codes = torch.arange(32) % 2
    clouds = torch.randn(32, 16, 3, generator=torch.Generator().manual_seed(0)) + 40.0 * (codes[:, None, None] - 0.5)

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"pooled": x.mean(dim=1)}

    layer = finetune.fit(Mean(), 3, clouds, codes, lambda x, _: x, steps=80, seed=0, classes=2, batch=16)
    assert (finetune.predict(Mean(), layer, clouds) == codes).float().mean() > 0.95


def test_stretch_and_mirror_are_the_same_by_cloud_and_by_batch() -> None:
    cloud = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    for made in (stretch.stretch, stretch.mirror):
        batch = made(torch.from_numpy(cloud).repeat(200, 1, 1), torch.Generator().manual_seed(0)).numpy()
        single = np.stack([made(cloud, np.random.default_rng(n)) for n in range(200)])
        for of in (batch, single):
            factors = of / cloud
            assert np.ptp(factors, axis=1).max() < 1e-4  # one factor for an axis of a cloud
            low, high = (1 / 1.5, 1.5) if made is stretch.stretch else (-1, 1)
            assert factors.min() == pytest.approx(low, rel=0.05)
            assert factors.max() == pytest.approx(high, rel=0.05)
    assert (factors[..., 1] > 0).all()


def test_descriptors_are_finite_and_know_extents() -> None:
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(2048, 3)) * [1, 0.5, 0.25]
    one = descriptors.descriptors(cloud, 2.0)
    assert one.shape == (89,)
    assert np.isfinite(one).all()
    assert np.isfinite(descriptors.descriptors(cloud * [1, 0, 1], 2.0)).all()  # flat
    np.testing.assert_allclose(one[:3], np.ptp(cloud, axis=0))
    assert one[6:9].max() == 1


def test_the_page_is_what_the_runs_found() -> None:
    assert render.PAGE.read_text("utf-8") == render.page(json.loads(render.FIGURES.read_text("utf-8"))), (
        "run: python examples/ldraw/render.py"
    )


def test_the_runs_are_of_the_table_as_it_is() -> None:
    said = measure.table()
    for name, runs in json.loads(render.FIGURES.read_text("utf-8"))["rows"].items():
        for run in runs:
            assert run["config"] == measure.digest(name, said, run["seed"]), f"{name} has changed since its runs"
