"""docs/text-debian.md from the runs of debian.py.

python examples/text_debian/debian_page.py --collect     # runs/text-debian/*.json to docs/figures/debian.json, then the page
python examples/text_debian/debian_page.py               # the page again
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from debian import HERE, config_of, digest, known, names, splits, table

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs/figures/debian.json"
PAGE = ROOT / "docs/text-debian.md"


def collect() -> dict[str, Any]:
    """What the runs found of the configs as they are, and what the data hold. Rows without a run are left out."""
    import torch

    said = table()
    runs = {name: [r for r in known(name) if r["config"] == digest(name, r["seed"], said)] for name in names(said)}
    data = splits(said["base"]["data"])
    rows = [row for part in data.values() for row in part]
    sections = Counter(row["section"] for row in data["test"])
    return {
        "count": len(rows),
        "sections": len({row["section"] for row in rows}),
        "majority": sections.most_common(1)[0][1] / sum(sections.values()),
        "short": round(statistics.mean(len(row["short"]) for row in rows)),
        "long": round(statistics.mean(len(row["long"]) for row in rows)),
        "device": f"torch {torch.__version__} on a CPU, 1 thread",
        "runs": {name: of for name, of in runs.items() if of},
    }


def line(name: str, runs: list[dict[str, Any]]) -> str:
    """A row of the table."""
    said = table()
    cells = [_spread([100 * r[measure] for r in runs if measure in r]) for measure in ("r1", "hybrid_r1", "section")]
    trained = name in said["encoders"]
    epochs = str(config_of(name, 0, said)["train"]["epochs"]) if trained else ""
    seconds = f"{statistics.mean(r['seconds'] for r in runs):.0f}" if trained else ""
    shown = f"`text/{name}`" if trained else name.replace("-", " ", 1) if name.startswith("untrained") else "TF-IDF"
    return f"| {shown} | {' | '.join(cells)} | {epochs} | {len(runs)} | {seconds} |"


def page(found: dict[str, Any]) -> str:
    """The page."""
    said = table()
    base = said["base"]
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            short=found["short"],
            long=found["long"],
            count=f"{found['count']:,}",
            sections=found["sections"],
            majority=100 * found["majority"],
            length=base["modalities"]["text"]["max_length"],
            batch=base["train"]["batch_size"],
            tau=base["method"]["terms"]["short~long"]["tau"],
            rows="\n".join(line(name, runs) for name, runs in found["runs"].items()),
            device=found["device"],
        )
    )


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


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
