"""docs/ldraw.md and its picture from the runs of measure.py.

python examples/ldraw/render.py --collect     # runs/ldraw/split/*.json to docs/figures/ldraw.json, then page and picture
python examples/ldraw/render.py               # the page again
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

from measure import HERE, RESULTS, digest, rows, table

ROOT = Path(__file__).resolve().parents[2]
FIGURES, PICTURE, PAGE = (ROOT / "docs" / name for name in ("figures/ldraw.json", "figures/ldraw.png", "ldraw.md"))
SHEET = ROOT / "docs/figures/ldraw-neighbours.json"
NOT = "not measured"


def collect() -> dict[str, Any]:
    """What runs of the configs as they are found, by row. Raises ``SystemExit`` where the untrained or the forest lack."""
    said, found = table(), {}
    for name in rows(said):
        file = RESULTS / "split" / f"{name}.json"
        if file.exists():
            of = json.loads(file.read_text())
            runs = [r for r in of["runs"] if r["config"] == digest(name, said, r["seed"])]
            found[name] = {**of, "runs": runs}
    if lacking := [name for name in ("untrained", "forest") if not found.get(name, {}).get("runs")]:
        raise SystemExit(f"no result of this config yet: {', '.join(lacking)}; run examples/ldraw/measure.py")
    first = found["untrained"]
    return {
        "device": first["device"],
        "torch": first["torch"],
        "rows": {name: of["runs"] for name, of in found.items()},
    }


def values(found: dict[str, Any], row: str, key: str) -> dict[int, float]:
    """A reading by seed, in per cent."""
    return {run["seed"]: 100 * run[key] for run in found["rows"].get(row, [])}


def spread(of: dict[int, float]) -> str:
    """Mean ± standard deviation; of one seed its value."""
    if not of:
        return NOT
    return f"{statistics.mean(of.values()):.1f}" + (f" ± {statistics.stdev(of.values()):.1f}" if len(of) > 1 else "")


def gain(found: dict[str, Any], row: str, key: str, over: tuple[str, str]) -> str:
    """Mean gain over another row's reading, seed by seed, ± its standard error."""
    here, there = values(found, row, key), values(found, *over)
    gained = [here[seed] - there[seed] for seed in sorted(here.keys() & there.keys())]
    if not gained:
        return NOT
    error = f" ± {statistics.stdev(gained) / math.sqrt(len(gained)):.1f}" if len(gained) > 1 else ""
    return f"{statistics.mean(gained):+.1f}{error}"


def line(found: dict[str, Any], row: str) -> str:
    """A row of the first table."""
    runs, said = found["rows"].get(row, []), table()
    cells = [f"`{row}`" if row in said["methods"] else f"*{row}*", str(len(runs))]
    if not runs:
        return f"| {' | '.join([*cells, NOT])} | | | | | | |"
    for key in ("knn", "linear"):
        cells.append(spread(values(found, row, key)))
        cells.append("" if row == "untrained" else gain(found, row, key, ("untrained", key)))
    cells.append(gain(found, row, "linear", ("forest", "forest")))
    cells += [f"{statistics.mean(run[key] for run in runs):.0f}" for key in ("rank", "seconds")]
    return f"| {' | '.join(cells)} |"


def labelled(found: dict[str, Any]) -> str:
    """The paragraph and table of fine-tuning."""
    said = table()["finetune"]
    lines = [
        f"| {share:.0%} | {' | '.join(spread(values(found, 'finetune', f'{share:g}, {w}')) for w in ('fresh', said['from']))} |"
        for share in said["shares"]
    ]
    seeds = ", ".join(str(run["seed"]) for run in found["rows"].get("finetune", [])) or "none"
    steps = " and ".join(map(str, said["steps"].values()))
    text = (
        f"\nThe whole network trained on some families' labels, {steps} steps, from fresh weights and from `{said['from']}`'s "
        "(% of the\n"
        f"test parts, seeds {seeds}). This classifier's own layer, which sees only views, is behind a probe of the same\n"
        f"network: so short a training is probably far from its end.\n\n| labels | fresh | from `{said['from']}` |\n|---|---|---|\n"
    )
    return text + "\n".join(lines) + "\n"


def neighbours() -> str:
    """The picture of neighbours and who made its parts; nothing where it wasn't drawn."""
    if not SHEET.exists():
        return ""
    said = json.loads(SHEET.read_text("utf-8"))
    return (
        f"\nHeld-out parts, each of another category, drawn at random, and the five training parts nearest by the frozen features "
        f"of `{said['row']}` (seed {said['seed']}); of the same category in green:\n\n![parts and their neighbours]"
        f"(figures/{SHEET.with_suffix('.png').name})\n\nThe parts in it are by {', '.join(said['authors'])}.\n"
    )


def page(found: dict[str, Any]) -> str:
    """The page."""
    said = table()
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            device=f"torch {found['torch']} on {found['device']}",
            epochs=said["base"]["train"]["epochs"],
            majority=f"{100 * found['rows']['forest'][0]['majority']:.1f}",
            forest=spread(values(found, "forest", "forest")),
            sized=spread(values(found, "forest", "forest with size")),
            rows="\n".join(line(found, row) for row in (*said["references"], *said["methods"])),
            labelled=labelled(found),
            neighbours=neighbours(),
        )
    )


def draw(found: dict[str, Any]) -> None:
    """Bars of both readings, with their spread, beside the forest and the commonest category."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    said = table()
    names = [n for n in ("untrained", *said["methods"], "supervised") if found["rows"].get(n)]
    figure, axes = plt.subplots(figsize=(7.2, 3.2), dpi=120, layout="constrained")
    for at, (key, label, colour) in enumerate(
        (("knn", "20 nearest neighbours", "#2a718e"), ("linear", "linear probe", "#5bc466"))
    ):
        of = [list(values(found, name, key).values()) for name in names]
        places = [n + 0.4 * at - 0.2 for n in range(len(names))]
        heights = [statistics.mean(v) for v in of]
        bars = axes.bar(
            places,
            heights,
            0.38,
            yerr=[statistics.stdev(v) if len(v) > 1 else 0 for v in of],
            label=label,
            color=colour,
            capsize=3,
        )
        axes.bar_label(bars, fmt="%.1f", label_type="center", color="black" if at else "white", fontsize=8)
    forest, majority = (
        statistics.mean(values(found, "forest", "forest").values()),
        100 * found["rows"]["forest"][0]["majority"],
    )
    for height, text in ((forest, "random forest on descriptors"), (majority, "commonest category")):
        axes.axhline(height, color="#555555", lw=1, ls="--")
        axes.text(len(names) - 0.45, height, f"{text}\n{height:.1f}", fontsize=8, va="center", ha="left")
    axes.set_xticks(range(len(names)), [f"{n}\n(labels)" if n == "supervised" else n for n in names])
    axes.set_xlim(-0.6, len(names) - 0.5)
    axes.set_ylabel("category of held-out parts, %")
    axes.set_ylim(0, 68)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="upper left")
    figure.savefig(PICTURE)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true")
    args = parser.parse_args()
    if args.collect:
        FIGURES.write_text(json.dumps(collect(), indent=1) + "\n")
        draw(json.loads(FIGURES.read_text()))
    PAGE.write_text(page(json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
