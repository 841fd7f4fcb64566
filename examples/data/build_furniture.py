"""Build ``furniture/furniture.parquet``: furniture as point cloud, icon, name and table row, split by near-duplicates.

The source is the Debian package ``sweethome3d-furniture``, had by name from whatever mirror the machine is set up
with (``apt-get download``, no root needed), or ``--package FILE`` if it is already there. The same package gives
the same values in every run: clouds are seeded by model id, and the split by one fixed seed.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from furniture_catalogue import POINTS, SEED, Model, read_library, read_licence
from furniture_credits import LIBRARIES, write_attribution
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

PACKAGE = "sweethome3d-furniture"
TEST_SHARE = 0.25
FAR = 9.0
# How alike two models must be to share a group. Shapes: Chamfer distance over the distance that two samples of one
# surface have (1 = the same shape). Icons: cosine of the ink. All set by looking at the pairs next to the line.
SAME_SHAPE_ANYWHERE, SAME_SHAPE, LIKE_SHAPE, NAMESAKE_SHAPE = 1.05, 1.15, 1.4, 1.8
SAME_ICON, NAMESAKE_ICON, LIKE_ICON = 0.97, 0.93, 0.90
VARIANT = re.compile("black|white|red|blue|green|grey|brown|small|large|little|big|single|double|triple|quadruple")
SCHEMA = pa.schema([
    ("id", pa.string()), ("cloud", pa.binary()), ("icon", pa.binary()), ("name", pa.string()),
    ("noun", pa.string()), ("room", pa.string()), ("width", pa.float32()), ("depth", pa.float32()),
    ("height", pa.float32()), ("elevation", pa.float32()), ("movable", pa.bool_()), ("creator", pa.string()),
    ("library", pa.string()), ("licence", pa.string()), ("group", pa.int32()), ("split", pa.string()),
])  # fmt: skip


def unpack(package: Path | None, folder: Path) -> Path:
    """Download (if need be) and unpack the Debian package; return the folder of its libraries."""
    if package is None:
        subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True)
        package = next(folder.glob(f"{PACKAGE}_*.deb"))
    subprocess.run(["dpkg", "-x", str(package.resolve()), str(folder / "files")], check=True)
    return folder / "files/usr/share/sweethome3d/furniture"


def shape_ratios(clouds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chamfer distance of each pair, over the best of four facings, as a multiple of the sampling noise.

    Two samples of one surface lie about as far apart as the points within each, so that spacing is the unit; it
    makes a thin rod and a large box comparable. Pairs of clearly unlike proportions are not measured (they get FAR).
    """
    count = len(clouds)
    turns = np.array([[[c, 0, s], [0, 1, 0], [-s, 0, c]] for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))])
    turned = np.einsum("nqd,ted->tnqe", clouds, turns)
    extents = np.ptp(turned, axis=2)
    trees = [cKDTree(cloud) for cloud in clouds]
    spacing = np.array([t.query(c, k=2)[0][:, 1].mean() for t, c in zip(trees, clouds, strict=True)])
    ratios = np.full((count, count), FAR)
    probe = clouds.shape[1] // 2
    for i in range(count):
        for turn in range(4):
            near = np.abs(extents[turn, i + 1 :] - extents[0, i]).max(axis=1) <= 0.2
            for j in i + 1 + np.flatnonzero(near):
                there = trees[i].query(turned[turn, j, :probe])[0].mean()
                if there < 0.12:
                    back = trees[j].query(turned[-turn % 4, i, :probe])[0].mean()
                    ratio = (there + back) / max(spacing[i] + spacing[j], 1e-6)
                    ratios[i, j] = ratios[j, i] = min(ratio, ratios[i, j])
    return ratios


def icon_cosines(icons: Iterable[bytes]) -> NDArray[np.float64]:
    """Cosine similarity of the icons' ink (white minus the picture, so that empty background counts nothing)."""
    small = [Image.open(io.BytesIO(icon)).resize((32, 32)) for icon in icons]
    ink = np.stack([255.0 - np.asarray(image, dtype=np.float64).ravel() for image in small])
    ink /= np.linalg.norm(ink, axis=1, keepdims=True)
    return np.asarray(ink @ ink.T)


def base_name(name: str) -> str:
    """A name without numbers, sizes and colours, so that variants of one thing share it."""
    words = re.sub(r"[^a-z ]", "", name.lower()).split()
    return " ".join(word for word in words if not VARIANT.fullmatch(word))


def find_groups(models: list[Model]) -> list[int]:
    """Number the connected components of 'near-duplicate of, or cut from the same download as'.

    Within a library, two models are near-duplicates if their shapes are the same, or alike with alike icons, or their
    icons the same, or they share a base name and are fairly alike. A name alone proves nothing: 25 unlike models are
    called 'Chair'. Between libraries, made by different people, only the same shape counts.
    """
    ratios = shape_ratios(np.stack([m.cloud for m in models]).astype(np.float64))
    cosines = icon_cosines(m.icon for m in models)
    parent = list(range(len(models)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, one in enumerate(models):
        for j in range(i + 1, len(models)):
            two, ratio, cosine = models[j], ratios[i, j], cosines[i, j]
            joined = ratio < SAME_SHAPE_ANYWHERE or (one.origin.source != "" and one.origin.source == two.origin.source)
            if not joined and one.library == two.library:
                joined = ratio < SAME_SHAPE or cosine > SAME_ICON or (ratio < LIKE_SHAPE and cosine > LIKE_ICON)
                if not joined and (ratio < NAMESAKE_SHAPE or cosine > NAMESAKE_ICON):
                    joined = base_name(one.name) == base_name(two.name)
            if joined:
                parent[max(root(i), root(j))] = min(root(i), root(j))
    numbers = {r: k for k, r in enumerate(sorted({root(i) for i in range(len(models))}))}
    return [numbers[root(i)] for i in range(len(models))]


def choose_test(models: list[Model], groups: list[int]) -> set[int]:
    """The groups of the test side: large ones first, each where rooms and libraries then stay nearest TEST_SHARE."""
    members: dict[int, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    for model, group in zip(models, groups, strict=True):
        for key in ("all", f"room {model.room}", f"library {model.library}", f"{model.room} of {model.library}"):
            members[group][key] += 1
            total[key] += 1
    held: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    test: set[int] = set()
    order = np.random.default_rng(SEED).permutation(sorted(members))
    for group in sorted(order.tolist(), key=lambda g: -members[g]["all"]):
        cost = 0.0  # what holding the group out adds to the squared shortfalls, measured on what was dealt so far
        for key, size in members[group].items():
            due = TEST_SHARE * (seen[key] + size)
            cost += ((held[key] + size - due) ** 2 - (held[key] - due) ** 2) / total[key]
            seen[key] += size
        if cost < 0:
            test.add(group)
            held.update(members[group])
    return test


def npy(array: NDArray[np.float16]) -> bytes:
    """An array as the bytes of a ``.npy`` file."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def write_manifest(models: list[Model], path: Path) -> pa.Table:
    """Group, split and write the models, one row each."""
    groups = find_groups(models)
    test = choose_test(models, groups)
    rows = []
    for model, group in zip(models, groups, strict=True):
        row = {key: value for key, value in vars(model).items() if key != "origin"}
        row |= {"cloud": npy(model.cloud), "group": group, "split": "test" if group in test else "train"}
        rows.append(row)
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    repeating = ["noun", "room", "creator", "library", "licence", "split"]
    pq.write_table(table, path, compression="zstd", compression_level=19, use_dictionary=repeating)
    return table


def main() -> None:
    """Build the manifest beside this script, or where ``--out`` says."""
    parser = argparse.ArgumentParser(description="Build the furniture demo data from a Debian package.")
    parser.add_argument("--package", type=Path, help=f"an already downloaded {PACKAGE} .deb")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "furniture")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        libraries = unpack(options.package, Path(folder))
        models = [model for name in sorted(LIBRARIES) for model in read_library(libraries / f"{name}.sh3f")]
        licences = {name: read_licence(libraries / f"{name}.sh3f") for name in LIBRARIES}
    table = write_manifest(models, options.out / "furniture.parquet")
    credits = [(model.library, model.id, model.creator, model.origin) for model in models]
    (options.out / "ATTRIBUTION.md").write_text(write_attribution(licences, credits, POINTS), encoding="utf-8")
    print(table.num_rows, "rows:", dict(Counter(table["split"].to_pylist())))


if __name__ == "__main__":
    main()
