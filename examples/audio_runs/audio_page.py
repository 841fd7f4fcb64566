"""docs/audio-runs.md and its picture from the runs of audio_run.py.

python examples/audio_runs/audio_page.py --collect     # runs/audio/*.json to docs/figures/audio.json, then both
python examples/audio_runs/audio_page.py               # both again
"""

from __future__ import annotations

import argparse
import json
import statistics
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audio_run import BY_HAND, HERE, current, rows, table

ROOT = Path(__file__).resolve().parents[2]
FIGURES, PICTURE = ROOT / "docs/figures/audio.json", ROOT / "docs/figures/audio.png"
PAGE = ROOT / "docs/audio-runs.md"
COLUMNS = {
    "notes": ("test knn", "test linear", "unheard knn", "unheard linear", "kinds"),
    "prompts": ("r@1", "r@5", "r@10", "matched"),
}
SHOWN = {
    "mean-log-mel": "mean log-mel",
    "forest": "random forest on MFCC",
    "length": "its length alone",
    "cola-notes": "`cola`, notes",
    "cola-phrases": "`cola`, phrases",
    "cola-notes-longer": "`cola`, notes, longer",
    "cola-phrases-longer": "`cola`, phrases, longer",
    "cola": "`cola`, clip by clip",
    "across": "across languages",
    "supervised": "supervised",
    "supervised-longer": "supervised, longer",
    "untrained": "untrained",
}
Found = dict[str, Any]


def collect() -> Found:
    """What the runs found of the configs as they are, and what the data hold. Rows without a run are left out."""
    import pyarrow.parquet as pq
    import torch

    said = table()
    runs = {
        question: {name: of for name in rows(question, said) if (of := current(question, name, said))}
        for question in COLUMNS
    }
    data = {question: pq.read_table(said[question]["base"]["data"]).drop(["audio"]).to_pylist() for question in COLUMNS}
    samples = [r["kind"] for r in pq.read_table(said["samples"], columns=["kind"]).to_pylist() if r["kind"]]
    phrases = said["notes"]["rows"]["cola-phrases"]["data"]
    splits = ("train", "test", "unheard")
    return {
        "device": f"torch {torch.__version__} on a CPU, 1 thread",
        "notes": {split: sum(r["split"] == split for r in data["notes"]) for split in splits},
        "phrases": pq.read_metadata(phrases).num_rows,
        "prompts": {s: len({r["prompt"] for r in data["prompts"] if r["split"] == s}) for s in ("train", "test")},
        "kinds": {"count": len(samples), "of": len({*samples}), "majority": _majority(samples)},
        "runs": runs,
    }


def values(found: Found, question: str, name: str, measure: str) -> list[float]:
    """By seed, in per cent; none where it wasn't measured."""
    return [100 * r[measure] for r in found["runs"][question].get(name, []) if measure in r]


def spread(of: Sequence[float]) -> str:
    """Mean ± standard deviation."""
    if not of:
        return ""
    mean = f"{statistics.mean(of):.1f}"
    return f"{mean} ± {statistics.stdev(of):.1f}" if len(of) > 1 else mean


def lines(found: Found, question: str) -> str:
    """A row of the page for each that was run."""
    made = []
    for name, runs in found["runs"][question].items():
        cells = [_cell(found, question, name, measure) for measure in COLUMNS[question]]
        trained = name not in BY_HAND[question] and name != "untrained"
        seconds = f"{statistics.mean(r['seconds'] for r in runs):.0f}" if trained else ""
        made.append(f"| {SHOWN[name]} | {' | '.join(cells)} | {len(runs)} | {seconds} |")
    return "\n".join(made)


def _cell(found: Found, question: str, name: str, measure: str) -> str:
    if name == "forest" and measure.endswith("linear"):  # it is its own classifier
        measure = measure.replace("linear", "forest")
    return spread(values(found, question, name, measure))


def above(found: Found, question: str, name: str, other: str, measures: Sequence[str]) -> bool | None:
    """Whether ``name`` is above ``other`` in every measure and seed that both have; None where there is no such seed.

    A row without chance is one run, and stands for all seeds.
    """
    ours, theirs = ({r["seed"]: r for r in found["runs"][question].get(row, [])} for row in (name, other))
    if other in BY_HAND[question] and theirs:
        theirs = dict.fromkeys(ours, theirs[0])
    seeds = ours.keys() & theirs.keys()
    return all(ours[s][m] > theirs[s][m] for s in seeds for m in measures) if seeds else None


def readings(found: Found) -> list[tuple[str, bool | None]]:
    """What was asked before a test figure was seen, and whether it is so; None where a run is missing."""
    heard, unheard = ("test knn", "test linear"), ("unheard knn", "unheard linear")
    asked: list[tuple[str, bool | None]] = []
    for name in ("cola-notes", "cola-phrases"):
        shown = SHOWN[name]
        asked += [
            (
                f"{shown}, tells families better than the untrained network",
                above(found, "notes", name, "untrained", heard),
            ),
            (f"{shown}, does so for unheard instruments", above(found, "notes", name, "untrained", unheard)),
            (
                f"{shown}, tells kinds of samples better than the untrained network",
                above(found, "notes", name, "untrained", ["kinds"]),
            ),
        ]
    asked += [
        (
            "phrases are better than notes to learn from",
            above(found, "notes", "cola-phrases", "cola-notes", (*heard, *unheard)),
        ),
        (
            "training across languages is better than clip by clip",
            above(found, "prompts", "across", "cola", ["r@1", "matched"]),
        ),
        ("it finds a prompt by more than its length", above(found, "prompts", "across", "length", ["matched"])),
    ]
    return asked


def verdict(found: Found) -> str:
    """The readings in a list."""
    words = {True: "yes", False: "no", None: "not measured"}
    return "\n".join(f"- {asked}: **{words[so]}**" for asked, so in readings(found))


def page(found: Found) -> str:
    """The page."""
    said, galleries = table(), found["prompts"]
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            notes=lines(found, "notes"),
            prompts=lines(found, "prompts"),
            verdict=verdict(found),
            kinds=found["kinds"],
            majority=f"{100 * found['kinds']['majority']:.1f}",
            counts=found["notes"],
            phrases=f"{found['phrases']:,}",
            trained=f"{found['notes']['train']:,}",
            galleries=galleries,
            chance=", ".join(f"{100 * k / galleries['test']:.1f}" for k in (1, 5, 10)),
            epochs=said["notes"]["base"]["train"]["epochs"],
            device=found["device"],
        )
    )


def draw(found: Found, path: Path) -> None:
    """Families of notes by a linear classifier, heard and unheard; prompts among ten of their length: bars and a dot a seed."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), dpi=110, layout="constrained", width_ratios=[3, 2])
    parts = {
        "notes": (left, {"test": "#2a718e", "unheard": "#e08214"}),
        "prompts": (right, {"matched": "#2a718e", "r@1": "#e08214"}),
    }
    chances = {"notes": 100 / 16, "prompts": 100 / 10}
    labels = {
        "test": "instruments that were heard",
        "unheard": "instruments that weren't",
        "matched": "among ten of its length",
        "r@1": "among all",
    }
    for question, (axes, bars) in parts.items():
        names = [*found["runs"][question]]
        for at, (part, colour) in enumerate(bars.items()):
            for n, name in enumerate(names):
                how = "forest" if name == "forest" else "linear"
                of = values(found, question, name, f"{part} {how}" if question == "notes" else part)
                place = n + 0.4 * at - 0.2
                axes.bar(place, statistics.mean(of), 0.38, color=colour, label=None if n else labels[part])
                axes.plot([place] * len(of), of, ".", color="black", markersize=4)
        ticks = [textwrap.fill(SHOWN[name].replace("`", ""), 11) for name in names]
        axes.axhline(chances[question], color="#555555", lw=1, ls="--", label="chance")
        axes.set_xticks(range(len(names)), ticks, fontsize=7)
        axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("family of a held-out note, %")
    right.set_ylabel("same prompt, other language, R@1, %")
    figure.savefig(path)
    plt.close(figure)


def _majority(of: Sequence[str]) -> float:
    return max(of.count(one) for one in {*of}) / len(of)


def main() -> None:
    """Write the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true")
    args = parser.parse_args()
    if args.collect:
        FIGURES.write_text(json.dumps(collect(), indent=1) + "\n")
        draw(json.loads(FIGURES.read_text("utf-8")), PICTURE)
    PAGE.write_text(page(json.loads(FIGURES.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
