"""docs/methods-table.md from the runs of run.py.

python examples/methods_table/render.py --collect     # runs/methods-table/*.json to docs/figures/methods.json, then the page
python examples/methods_table/render.py               # the page again
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

from run import HERE, RESULTS, missing, rows, table

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs/figures/methods.json"
PAGE = ROOT / "docs/methods-table.md"
MEASURES = ("knn", "linear", "rank", "seconds")


def collect() -> dict[str, Any]:
    """What the runs found, method by method. Raises ``SystemExit`` where a run lacks or is of another config."""
    said = table()
    files = {name: RESULTS / f"{name}.json" for name in rows(said)}
    lacking = [n for n, f in files.items() if not f.exists() or missing(n, SEEDS, said)]
    if lacking:
        raise SystemExit(f"no result of this config yet: {', '.join(lacking)}; run examples/methods_table/run.py")
    found = {name: json.loads(file.read_text()) for name, file in files.items()}
    return {
        "seeds": SEEDS,
        "device": found["untrained"]["device"],
        "torch": found["untrained"]["torch"],
        "methods": {name: sorted(of["runs"], key=lambda r: r["seed"])[: len(SEEDS)] for name, of in found.items()},
    }


SEEDS = [0, 1, 2]


def gains(found: dict[str, Any], name: str, measure: str) -> list[float]:
    """The gain of each seed over the untrained encoder of that seed, on the same pictures."""
    place, _, method = name.rpartition("/")
    beside = f"{place}/{_node(method).get('beside', 'untrained')}".lstrip("/")
    return [r[measure] - b[measure] for r, b in zip(found["methods"][name], found["methods"][beside], strict=True)]


def standard_error(values: list[float]) -> float:
    """Of a mean."""
    return statistics.stdev(values) / math.sqrt(len(values))


def line(found: dict[str, Any], name: str) -> str:
    """A row of the table."""
    node, shown = _node(name.rpartition("/")[2]), name.rpartition("/")[2]
    runs = found["methods"][name]
    cells = []
    for measure in ("knn", "linear"):
        cells.append(_spread([100 * r[measure] for r in runs]))
        if "untrained" in name:
            cells.append("")
        else:
            gained = [100 * g for g in gains(found, name, measure)]
            cells.append(f"{statistics.mean(gained):+.1f} ± {standard_error(gained):.1f}")
    rank, seconds = (statistics.mean(r[m] for r in runs) for m in ("rank", "seconds"))
    memory = max(r["peak_bytes"] for r in runs) / 1e9
    shown = f"*{shown}*" if shown in table()["references"] else f"`{shown}`"
    return f"| {shown} | {_uses(node)} | {' | '.join(cells)} | {rank:.0f} | {seconds:.0f} | {memory:.1f} |"


def page(found: dict[str, Any]) -> str:
    """The page."""
    said = table()
    train = said["base"]["train"]
    tables = [[line(found, n) for n in rows(said) if n.startswith("again/") == again] for again in (False, True)]
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            data="The first 4,000 training and 2,000 test pictures of CIFAR-10",
            epochs=train["epochs"],
            batch=train["batch_size"],
            lr=train["lr"],
            device=f"torch {found['torch']} on {found['device']}",
            seeds=", ".join(map(str, found["seeds"])),
            rows="\n".join(tables[0]),
            again="\n".join(tables[1]),
        )
    )


def _node(method: str) -> dict[str, Any]:
    """What table.yaml says of a method."""
    said = table()
    node: dict[str, Any] = {**said["references"], **said["methods"]}[method] or {}
    return node


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def _uses(node: dict[str, Any]) -> str:
    said = [{"pair": "lightness", "sights": "lightness, colour", "panned": "sequences"}.get(node.get("on", ""), "")]
    return ", ".join(filter(None, [*said, "labels" if node.get("labels") else ""]))


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true")
    args = parser.parse_args()
    if args.collect:
        FIGURES.write_text(json.dumps(collect(), indent=1) + "\n")
    PAGE.write_text(page(json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
