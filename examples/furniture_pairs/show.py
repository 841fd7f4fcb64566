"""docs/furniture.md and its figure from the runs of pairs.py.

python examples/furniture_pairs/show.py --collect   # runs/furniture-pairs/*.json to docs/figures/furniture-pairs.json, then both
python examples/furniture_pairs/show.py             # both again
"""

from __future__ import annotations

import argparse
import json
import statistics
from itertools import combinations
from pathlib import Path
from typing import Any

from pairs import BASELINES, HERE, SEEDS, known, table

ROOT = HERE.parents[1]
FIGURES = ROOT / "docs/figures/furniture-pairs.json"
PICTURE = FIGURES.with_suffix(".png")
PAGE = ROOT / "docs/furniture.md"
METRICS = ("R@1", "R@5", "R@10", "MRR")
PAIRS = [f"{a}~{b}" for a, b in combinations(("pointcloud", "image", "text", "tabular"), 2)]
EMERGENT = ("image~text", "image~tabular", "text~tabular")
CLOUDS = (
    "pointcloud~image",
    "pointcloud~text",
    "pointcloud~tabular",
    "crosspoint",
    "cross-alone",
    "ulip-like",
    "hub",
    "graph",
)
SHOWN = {"hand": "CCA", "alone": "alone"}


def questions() -> list[tuple[str, str, str, str]]:
    """What is compared, fixed before a test figure was seen: heading, reading (a pair's R@10, or a task), method, other."""
    asked = [
        ("Does the term within clouds help CrossPoint?", r, "crosspoint", "cross-alone")
        for r in ("pointcloud~image", "room", "noun")
    ]
    asked += [("Do all pairs together beat each pair alone?", pair, "graph", "alone") for pair in ("all pairs", *PAIRS)]
    for method in ("alone", "graph"):
        asked += [(f"Does training beat the linear CCA? ({method})", p, method, "hand") for p in ("all pairs", *PAIRS)]
    asked += [("Do pairs that never met find each other through the hub?", p, "hub", "untrained") for p in EMERGENT]
    asked += [("And as well as if they had been trained together?", p, "hub", "alone") for p in EMERGENT]
    asked += [("Does the hub cost its own pairs?", p, "hub", "alone") for p in PAIRS if p not in EMERGENT]
    asked += [
        ("Do frozen towers serve clouds as well?", p, "ulip-like", "alone")
        for p in ("pointcloud~image", "pointcloud~text")
    ]
    for task in ("room", "noun"):
        asked += [(f"Does a linear SVM on clouds gain by training? ({task})", task, m, "untrained") for m in CLOUDS]
        asked += [
            (f"And over a random forest on shape descriptors? ({task})", task, m, "hand")
            for m in ("crosspoint", "graph")
        ]
    return asked


def collect(seeds: list[int]) -> dict[str, Any]:
    """What the runs found. Raises ``SystemExit`` where one lacks or is of another config."""
    import numpy as np
    import pyarrow.parquet as pq
    from pairs import tasks

    said = table()
    names = [*said["methods"], *BASELINES]
    runs = {name: [known(name, said, seed) for seed in seeds] for name in names}
    if lacking := [name for name, of in runs.items() if None in of]:
        raise SystemExit(f"no result of this config yet: {', '.join(lacking)}; run examples/furniture_pairs/pairs.py")
    rows = pq.read_table(said["base"]["data"], columns=["split", "group", "noun", "room"])
    meta = {key: np.asarray(rows[key]) for key in ("group", "noun", "room")}
    train, test = ({k: c[np.asarray(rows["split"]) == side] for k, c in meta.items()} for side in ("train", "test"))
    classes = tasks(train, test)
    groups = {task: test["group"][held] for task, (_, held) in classes.items()}
    majority = {}
    for task, (fit, held) in classes.items():
        values, counts = np.unique(train[task][fit], return_counts=True)
        majority[task] = float((test[task][held] == values[counts.argmax()]).mean())
    compared = []
    for heading, reading, name, other in questions():
        values = [_values(runs, n, reading) for n in (name, other)]
        difference = _difference(*values, groups.get(reading, test["group"]))
        compared.append({"heading": heading, "of": reading, "method": name, "other": other, **difference})
    return {
        "seeds": seeds,
        "torch": runs["graph"][0]["torch"],
        "gallery": len(test["group"]),
        "pieces": {task: [len(fit), len(held)] for task, (fit, held) in classes.items()},
        "majority": majority,
        "configs": {name: [r["config"] for r in of] for name, of in runs.items()},
        "seconds": {name: [round(r["seconds"], 1) for r in of] for name, of in runs.items()},
        "retrieval": {
            name: {d: _recalls([r["ranks"][d] for r in of]) for d in of[0]["ranks"]} for name, of in runs.items()
        },
        "svm": {
            name: {t: [float(np.mean(r["svm"][t]["right"])) for r in of] for t in of[0]["svm"]}
            for name, of in runs.items()
        },
        "compared": compared,
    }


def _ranks(of: list[list[int]]) -> Any:
    """Stored ranks as the evaluation's own; each piece has one counterpart."""
    import numpy as np

    from contrapose.evaluate.retrieval import Ranks

    ahead, tied = (np.asarray(column) for column in of)
    return Ranks(ahead, tied, np.ones_like(ahead), np.ones_like(ahead), len(ahead))


def _recalls(of: list[list[list[int]]]) -> dict[str, list[float]]:
    """Each metric, seed by seed."""
    ranks = [_ranks(r) for r in of]
    recalls = {f"R@{k}": [round(float(r.recall(k).mean()), 6) for r in ranks] for k in (1, 5, 10)}
    return recalls | {"MRR": [round(float((1 / r.rank()).mean()), 6) for r in ranks]}


def _values(runs: dict[str, Any], name: str, reading: str) -> Any:
    """(seeds, pieces): R@10 of each piece, the mean of both ways, or whether its class was told."""
    import numpy as np

    if reading in ("room", "noun"):
        return np.array([r["svm"][reading]["right"] for r in runs[name]], dtype=float)
    if reading == "all pairs":
        return np.mean([_values(runs, name, pair) for pair in PAIRS], axis=0)
    of, (a, b) = reading if name == "alone" else name, reading.split("~")
    return np.array(
        [np.mean([_ranks(r["ranks"][d]).recall(10) for d in (f"{a} → {b}", f"{b} → {a}")], axis=0) for r in runs[of]]
    )


def _difference(values: Any, others: Any, groups: Any) -> dict[str, Any]:
    """The mean difference of each seed, and the interval of their mean: paired bootstrap over groups of near-duplicates."""
    from contrapose.evaluate.bootstrap import interval, resample

    gap = values - others
    low, high = interval(resample(gap.mean(axis=0, keepdims=True), groups)[0])
    return {"by seed": [round(float(g), 6) for g in gap.mean(axis=1)], "interval": [round(low, 6), round(high, 6)]}


# -- the page ------------------------------------------------------------------------------------------------------------


def page(found: dict[str, Any]) -> str:
    """The page."""
    train = table()["base"]["train"]
    minutes = sum(sum(of) for of in found["seconds"].values()) / 60
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            seeds=len(found["seeds"]),
            gallery=found["gallery"],
            epochs=train["epochs"],
            batch=train["batch_size"],
            lr=train["lr"],
            torch=found["torch"],
            minutes=f"{minutes:.0f}",
            demo=_demo()["train"]["epochs"],
            longest=f"{max(statistics.mean(of) for of in found['seconds'].values()):.0f}",
            chance=f"{1000 / found['gallery']:.1f}",
            nouns=found["pieces"]["noun"],
            pairs="\n".join(_pairs(found)),
            answers="\n".join(_answers(found)),
            svm="\n".join(_svm(found)),
            directions="\n".join(_directions(found)),
        )
    )


def _demo() -> dict[str, Any]:
    """The demo's config."""
    from contrapose.config.yaml import read

    found: dict[str, Any] = read(HERE.parent / "furniture.yaml").data
    return found


def verdict(row: dict[str, Any]) -> str:
    """What the interval of a difference says."""
    low, high = row["interval"]
    return "more" if low > 0 else "less" if high < 0 else "not shown"


def both_ways(found: dict[str, Any], name: str, pair: str) -> list[float] | None:
    """R@10 of a pair, seed by seed, the mean of both directions, in per cent; None where the method lacks the pair."""
    of, (a, b) = found["retrieval"][pair if name == "alone" else name], pair.split("~")
    if f"{a} → {b}" not in of:
        return None
    return [50 * sum(two) for two in zip(of[f"{a} → {b}"]["R@10"], of[f"{b} → {a}"]["R@10"], strict=True)]


def _pairs(found: dict[str, Any]) -> list[str]:
    names = ("untrained", "hand", "alone", "cross-alone", "crosspoint", "ulip-like", "hub", "graph")
    lines = [f"| pair | {' | '.join(SHOWN.get(n, f'`{n}`' if n in table()['methods'] else n) for n in names)} |"]
    lines.append(f"|---|{'---|' * len(names)}")
    for pair in PAIRS:
        values = {name: both_ways(found, name, pair) for name in names}
        apart = {("hub", p) for p in EMERGENT}
        cells = [
            "" if v is None else f"*{_spread(v)}*" if (n, pair) in apart else _spread(v) for n, v in values.items()
        ]
        lines.append(f"| {pair} | {' | '.join(cells)} |")
    return lines


def _answers(found: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    heading = ""
    for row in found["compared"]:
        if row["heading"] != heading:
            heading = row["heading"]
            lines += [
                "",
                f"**{heading}**",
                "",
                "| of | compared | difference | 95 % interval | |",
                "|---|---|---|---|---|",
            ]
        (low, high), by_seed = row["interval"], [100 * d for d in row["by seed"]]
        other = (
            ("random forest" if row["of"] in ("room", "noun") else "CCA") if row["other"] == "hand" else row["other"]
        )
        gap = _spread(by_seed, sign="+")
        lines.append(
            f"| {row['of']} | {row['method']} − {other} | {gap} | {100 * low:+.1f} to {100 * high:+.1f} | {verdict(row)} |"
        )
    return lines[1:]


def _svm(found: dict[str, Any]) -> list[str]:
    lines = ["| clouds' features | room | noun |", "|---|---|---|"]
    lines.append(f"| commonest class | {100 * found['majority']['room']:.1f} | {100 * found['majority']['noun']:.1f} |")
    for name, shown in {
        "untrained": "untrained",
        "hand": "random forest on shape descriptors",
        **{c: f"`{c}`" for c in CLOUDS},
    }.items():
        cells = [_spread([100 * v for v in found["svm"][name][task]]) for task in ("room", "noun")]
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return lines


def _directions(found: dict[str, Any]) -> list[str]:
    lines = [f"| from → to | method | {' | '.join(METRICS)} |", f"|---|---|{'---|' * len(METRICS)}"]
    names = [n for n in found["retrieval"] if n not in PAIRS]
    for direction in found["retrieval"]["graph"]:
        pair = next(p for p in PAIRS if set(p.split("~")) == set(direction.split(" → ")))
        for name in ("untrained", "hand", pair, *(n for n in names if n not in BASELINES)):
            if of := found["retrieval"][name].get(direction):
                cells = [_spread([100 * v for v in of[m]]) for m in METRICS]
                shown = SHOWN["hand"] if name == "hand" else "alone" if name == pair else name
                lines.append(f"| {direction} | {shown} | {' | '.join(cells)} |")
    return lines


def _spread(values: list[float], sign: str = "") -> str:
    sd = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{sign}.1f}{sd}"


def draw(found: dict[str, Any], out: Path) -> None:
    """R@10 of each pair, both ways, mean and standard deviation over seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    bars = {
        "hand": ("linear CCA, hand-made features", "#9a9a9a"),
        "alone": ("alone: that pair only", "#7fb2d9"),
        "hub": ("hub: clouds with each other", "#e8a33d"),
        "graph": ("graph: all pairs", "#1f5f99"),
    }
    figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
    for n, (name, (label, colour)) in enumerate(bars.items()):
        for at, pair in enumerate(PAIRS):
            values = both_ways(found, name, pair) or []
            error = statistics.stdev(values) if len(values) > 1 else 0
            apart = name == "hub" and pair in EMERGENT
            axes.bar(
                at + 0.2 * (n - 1.5), statistics.mean(values), 0.19, yerr=error, capsize=2, color="white" if apart else colour,
                edgecolor=colour, hatch="////" if apart else None, label=label if at == 0 else None, error_kw={"lw": 1},
            )  # fmt: skip
    axes.bar(0, 0, color="white", edgecolor=bars["hub"][1], hatch="////", label="hub, pairs that never met")
    axes.axhline(1000 / found["gallery"], color="black", lw=1, ls="--", label="chance")
    axes.set_xticks(range(len(PAIRS)), [p.replace("~", " and\n") for p in PAIRS])
    axes.set_ylabel(f"R@10 among {found['gallery']}, both ways, %")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, ncols=3, loc="outside upper center")
    figure.savefig(out, dpi=110)
    plt.close(figure)


def main() -> None:
    """Write the page and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    args = parser.parse_args()
    if args.collect:
        FIGURES.write_text(json.dumps(collect(args.seeds), indent=1, ensure_ascii=False) + "\n")
    found = json.loads(FIGURES.read_text())
    PAGE.write_text(page(found))
    draw(found, PICTURE)


if __name__ == "__main__":
    main()
