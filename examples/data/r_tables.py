"""Tables of R's packages as Debian has them, read without R by the PyPI package ``rdata``, from its wheel as it lies."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

READER = "rdata==1.1.0", "xarray==2026.9.0"
Table = dict[str, list[Any]]


def fetch(packages: Iterable[str], folder: Path) -> None:
    """Debian's packages, as files in a folder. Raises ``SystemExit`` where there is no apt."""
    if not shutil.which("apt-get"):
        raise SystemExit(
            "some wide tables are in Debian's packages of R, and this machine has no apt-get to download them"
        )
    subprocess.run(["apt-get", "download", "-qq", *packages], cwd=folder, check=True)


def read_r(package: str, file: str, label: str, drop: Iterable[int], folder: Path) -> Table:
    """Columns ``x0`` and on, factors as text and the rest numbers, blanks None; ``label``, a column or an object beside the table.

    ``file`` is a path in R's library, in a package of ``folder``, where the reader's wheels lie too.
    """
    sys.path[:0] = [str(wheel) for name in READER for wheel in folder.glob(f"{name.split('==')[0]}-*.whl")]
    import rdata

    unpacked = folder / package
    if not unpacked.exists():
        subprocess.run(["dpkg-deb", "-x", next(folder.glob(f"{package}_*.deb")), unpacked], check=True)
    with warnings.catch_warnings(action="ignore"):  # of attributes that only R knows
        objects = rdata.read_rda(unpacked / "usr/lib/R/site-library" / file)
    frame = next(part for part in objects.values() if hasattr(part, "columns"))
    labels = frame.pop(label) if label in frame else objects[label]
    kept = [n for n in range(frame.shape[1]) if n not in drop]
    return {f"x{n}": _column(frame.iloc[:, n]) for n in kept} | {"label": [*map(str, labels)]}


def _column(cells: Any) -> list[Any]:
    factor = cells.dtype.name == "category"
    made = [f"is {cell}" if factor else cell for cell in cells]
    return [None if blank else cell if factor else float(cell) for cell, blank in zip(made, cells.isna(), strict=True)]
