"""docs/vizdoom.md and its pictures from the runs of motions.py.

python examples/vizdoom/motions_page.py --collect     # runs/vizdoom/split/*.json to docs/figures/vizdoom.json, page, pictures
python examples/vizdoom/motions_page.py               # the page again
"""

from __future__ import annotations

import argparse
import io
import json
import math
import statistics
from pathlib import Path
from typing import Any

from motions import HERE, RESULTS, digest, rows, table

ROOT = Path(__file__).resolve().parents[2]
FIGURES, PICTURE, SHEET, PAGE = (
    ROOT / "docs" / name
    for name in ("figures/vizdoom.json", "figures/vizdoom.png", "figures/vizdoom-clips.png", "vizdoom.md")
)
FORESTS = ("single frame", "frame differences", "optical flow")
NOT, CHANCE, CLIPS = "not measured", 100 / 7, 1071
SHOWN = {
    "untrained": "*untrained*",
    "frames": "`frames`",
    "cvrl-pixels": "`cvrl-pixels`",
    "cvrl": "`cvrl`",
    "cvrl-starts": "`cvrl-starts`",
    "cvrl-longer": "`cvrl-longer`",
    "cvrl-starts-longer": "`cvrl-starts-longer`",
    "clouds": "`clouds`",
    "supervised": "*supervised*",
}
WAYS = ("video to cloud", "cloud to video")


def collect() -> dict[str, Any]:
    """What runs of the configs as they are found, by row. Raises ``SystemExit`` where the untrained or the forests lack."""
    said, found, torch = table(), {}, ""
    for name in rows(said):
        file = RESULTS / "split" / f"{name}.json"
        if file.exists():
            of = json.loads(file.read_text())
            found[name] = [r for r in of["runs"] if r["config"] == digest(name, said, r["seed"])]
            torch = of["torch"]
    if lacking := [name for name in ("untrained", "forests") if not found.get(name)]:
        raise SystemExit(f"no result of this config yet: {', '.join(lacking)}; run examples/vizdoom/motions.py")
    return {"torch": torch, "rows": found}


def values(found: dict[str, Any], row: str, key: str) -> dict[int, float]:
    """A reading by seed, in per cent."""
    return {run["seed"]: 100 * run[key] for run in found["rows"].get(row, []) if key in run}


def spread(of: dict[int, float]) -> str:
    """Mean ± standard deviation; of one seed its value."""
    if not of:
        return NOT
    return f"{statistics.mean(of.values()):.1f}" + (f" ± {statistics.stdev(of.values()):.1f}" if len(of) > 1 else "")


def gain(found: dict[str, Any], row: str, key: str, over: str = "untrained") -> str:
    """Mean gain over another row, seed by seed, ± its standard error."""
    here, there = values(found, row, key), values(found, over, key)
    gained = [here[seed] - there[seed] for seed in sorted(here.keys() & there.keys())]
    if not gained or row == over:
        return ""
    error = f" ± {statistics.stdev(gained) / math.sqrt(len(gained)):.1f}" if len(gained) > 1 else ""
    return f"{statistics.mean(gained):+.1f}{error}"


def line(found: dict[str, Any], row: str) -> str:
    """A row of the table."""
    runs = found["rows"].get(row, [])
    if not runs:
        return f"| {SHOWN[row]} | 0 | {NOT} | | | | | |"
    cells = [SHOWN[row], str(len(runs))]
    for key in ("knn", "linear"):
        cells += [spread(values(found, row, key)), gain(found, row, key)]
    cells += [f"{statistics.mean(run[key] for run in runs):.0f}" for key in ("rank", "seconds")]
    return f"| {' | '.join(cells)} |"


def retrieval(found: dict[str, Any]) -> str:
    """The table of clips and clouds that find each other."""
    runs = found["rows"].get("clouds", [])
    if not runs:
        return f"Clips and clouds: {NOT}."
    gallery = runs[0]["gallery"]
    lines = [
        f"| {way} | {' | '.join(spread(values(found, 'clouds', f'{way} {key}')) for key in ('R@1', 'R@10', 'of a start'))} |"
        for way in WAYS
    ]
    head = f"| | R@1 of {gallery} | R@10 of {gallery} | first of the 7 of a start |\n|---|---|---|---|\n"
    return head + "\n".join(lines) + f"\n| *chance* | {100 / gallery:.1f} | {1000 / gallery:.1f} | {CHANCE:.1f} |"


def page(found: dict[str, Any]) -> str:
    """The page."""
    said = table()["base"]
    forests = {
        key: spread(values(found, "forests", key)) for key in ("single frame", "frame differences", "optical flow")
    }
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            torch=found["torch"],
            epochs=said["train"]["epochs"],
            batch=said["train"]["batch_size"],
            steps=said["train"]["epochs"] * (CLIPS // said["train"]["batch_size"]),
            minutes=round(sum(run.get("seconds", 0) for runs in found["rows"].values() for run in runs) / 60),
            chance=f"{CHANCE:.1f}",
            single=forests["single frame"],
            differences=forests["frame differences"],
            flow=forests["optical flow"],
            rows="\n".join(line(found, row) for row in SHOWN),
            retrieval=retrieval(found),
        )
    )


def draw(found: dict[str, Any]) -> None:
    """Bars of both readings, with their spread, beside the forests."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = [n for n in SHOWN if found["rows"].get(n)]
    figure, axes = plt.subplots(figsize=(7.6, 3.4), dpi=120, layout="constrained")
    for at, (key, label, colour) in enumerate(
        (("knn", "20 nearest neighbours", "#2a718e"), ("linear", "linear probe", "#5bc466"))
    ):
        of = [list(values(found, name, key).values()) for name in names]
        heights, error = [statistics.mean(v) for v in of], [statistics.stdev(v) if len(v) > 1 else 0 for v in of]
        places = [n + 0.4 * at - 0.2 for n in range(len(names))]
        bars = axes.bar(places, heights, 0.38, yerr=error, label=label, color=colour, capsize=3)
        axes.bar_label(bars, fmt="%.0f", label_type="center", color="black" if at else "white", fontsize=8)
    levels = {key: statistics.mean(values(found, "forests", key).values()) for key in FORESTS} | {"chance": CHANCE}
    for text, height in levels.items():
        axes.plot([-0.6, len(names) - 0.5], [height, height], color="#555555", lw=1, ls="--", zorder=0)
        place = {"chance": "top", "single frame": "bottom"}.get(text, "center")
        axes.text(len(names) - 0.45, height, f"{text} {height:.0f}", fontsize=8, va=place)
    axes.set_xticks(
        range(len(names)), [n.replace("-", "-\n") if n != "supervised" else f"{n}\n(labels)" for n in names], fontsize=8
    )
    axes.set_xlim(-0.6, len(names) + 0.6)
    axes.set_ylabel("motion of clips from other maps, %")
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    figure.savefig(PICTURE)


def draw_clips(data: Path) -> None:
    """Four frames of the seven clips from two starts that are trained on."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    import pyarrow.parquet as pq
    from matplotlib import pyplot as plt
    from motion_views import decoded
    from PIL import Image

    clips = pq.read_table(data, columns=["video", "motion", "start", "split"]).to_pylist()
    starts = sorted({clip["start"] for clip in clips if clip["split"] == "train"})
    chosen = [starts[n] for n in np.random.default_rng(3).choice(len(starts), 2, replace=False)]
    motions = ("forward", "backward", "left", "right", "turn-left", "turn-right", "stand")
    figure, axes = plt.subplots(7, 2, figsize=(7.6, 4.6), dpi=100, layout="constrained")
    for column, start in enumerate(chosen):
        of = {clip["motion"]: clip["video"] for clip in clips if clip["start"] == start}
        for axis, motion in zip(axes[:, column], motions, strict=True):
            axis.imshow(np.concatenate(list(decoded(of[motion]).frames(np.array([0, 8, 16, 23]))), axis=1))
            axis.set(xticks=[], yticks=[])
            if not column:
                axis.set_ylabel(motion, rotation=0, ha="right", va="center", fontsize=9)
    file = io.BytesIO()
    figure.savefig(file)
    Image.open(file).convert("RGB").quantize(96).save(SHEET, optimize=True)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true")
    args = parser.parse_args()
    if args.collect:
        FIGURES.write_text(json.dumps(collect(), indent=1) + "\n")
        draw(json.loads(FIGURES.read_text()))
        draw_clips(Path(table()["base"]["data"]))
    PAGE.write_text(page(json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
