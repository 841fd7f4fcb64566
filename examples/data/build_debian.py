"""Build ``debian.parquet``: what Debian's packages say of themselves, in short and at length.

The source is what ``apt`` knows: run ``apt-get -o Acquire::Languages=en update`` first, which fetches the translations beside the
lists of packages. Each description is under the licence of its package, so that nothing of them is kept in this repository.

python examples/data/build_debian.py -o runs/data/debian.parquet
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHARES = {"test": 10, "val": 15, "train": 100}
"""Percent of the source packages up to which a split reaches."""

Stanza = dict[str, str]


def files(kind: str, lists: Path | None) -> list[str]:
    """The lists of one kind (``Packages``, ``Translations``) that apt has fetched."""
    at = ["-o", "Acquire::Languages=en", *(["-o", f"Dir::State::lists={lists.resolve()}"] if lists else [])]
    said = subprocess.run(
        ["apt-get", *at, "indextargets", "--format", "$(FILENAME)", f"Created-By: {kind}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(set(said.stdout.split()))


def stanzas(file: str) -> Iterator[Stanza]:
    """The entries of a list, each a mapping from field to text; a field's further lines keep their first blank."""
    text = subprocess.run(
        ["/usr/lib/apt/apt-helper", "cat-file", file], capture_output=True, check=True
    ).stdout.decode()
    for block in text.split("\n\n"):
        fields = re.findall(r"^([A-Za-z0-9-]+): ?(.*(?:\n[ \t].*)*)", block, re.M)
        if fields:
            yield dict(fields)


def paragraphs(lines: list[str]) -> str:
    """The long description without its layout: `` .`` parts paragraphs, other lines begin with a blank."""
    return "\n".join("" if line.strip() == "." else line.strip() for line in lines).strip()


def place(name: str) -> int:
    """A number that looks drawn and is always the same."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)


def split_of(source: str) -> str:
    """By a digest of the source package, whose binary packages say much the same."""
    return next(split for split, end in SHARES.items() if place(source) % 100 < end)


def rows(lists: Path | None) -> list[Stanza]:
    """One row a package that has both descriptions, in the order of the names."""
    known = {s["Package"]: s for file in files("Packages", lists) for s in stanzas(file)}
    found = {}
    for file in files("Translations", lists):
        for said in stanzas(file):
            package = known.get(said["Package"])
            short, *rest = said.get("Description-en", "").split("\n")
            long = paragraphs(rest)
            if package is None or not short.strip() or not long:
                continue
            source = package.get("Source", said["Package"]).split()[0]
            section = package.get("Section", "").rpartition("/")[2]
            words = {
                "package": said["Package"],
                "source": source,
                "section": section,
                "short": short.strip(),
                "long": long,
            }
            found[said["Package"]] = {**words, "split": split_of(source)}
    return [found[name] for name in sorted(found)]


def one_a_source(table: list[Stanza]) -> list[Stanza]:
    """One package, as if drawn, of each source package."""
    return list({row["source"]: row for row in sorted(table, key=lambda row: place(row["package"]))}.values())


def main() -> None:
    """Build the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=Path, help="where apt keeps its lists, if not in its usual place")
    parser.add_argument("--all", action="store_true", help="all packages, not one of each source package")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/debian.parquet"))
    args = parser.parse_args()
    table = rows(args.lists)
    if not table:
        parser.exit(1, "apt knows no descriptions: run apt-get -o Acquire::Languages=en update\n")
    if not args.all:
        table = one_a_source(table)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(table), args.out)
    counts = ", ".join(f"{sum(r['split'] == s for r in table):,} {s}" for s in ("train", "val", "test"))
    print(f"{args.out}: {len(table):,} descriptions ({counts}), {len({r['section'] for r in table})} sections")


if __name__ == "__main__":
    main()
