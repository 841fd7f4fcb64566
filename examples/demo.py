"""Clouds, pictures, names and measures of furniture in one space: views, training, evaluation, search, report.

python examples/demo.py                      # one seed: what `make demo` runs
python examples/demo.py --seeds 0 1 2 --write   # the figures of the README (docs/figures/furniture.json)
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from pathlib import Path

from figures import FIGURES, write
from rich.console import Console
from rich.table import Table
from rooms import READING, pooled, read

import contrapose as cp
from contrapose.engine.build import Parts
from contrapose.evaluate import Evaluation, Row, evaluate
from contrapose.evaluate.search import search
from contrapose.report.html import write_report
from contrapose.report.pictures import picture_run, picture_views
from contrapose.report.search import search_sheet, things_found

HERE = Path(__file__).parent
CONFIG = HERE / "furniture.yaml"
METRICS = ("R@1", "R@10", "kNN", "linear probe", "linear SVM")


def one_seed(seed: int, out: Path, overrides: list[str], console: Console) -> Evaluation:
    """Train, evaluate and draw; the run folder is ``out``/seed-N, made anew."""
    where = out / f"seed-{seed}"
    shutil.rmtree(where, ignore_errors=True)
    run = cp.train(CONFIG, set=[f"train.seed={seed}", *overrides], out=where)
    evaluation = evaluate(run)
    console.print(evaluation)
    for picture in picture_run(run, evaluation.embedded):
        console.print(f"picture   {picture}", soft_wrap=True)
    return evaluation


def summary(evaluations: list[Evaluation]) -> list[dict[str, object]]:
    """Mean and spread over seeds of the figures that the README shows."""
    table: list[dict[str, object]] = []
    for first in (row for row in evaluations[0].rows if row.metric in METRICS):
        rows = [e.row(first.metric, first.of) for e in evaluations]
        values = [r.value for r in rows]
        table.append(
            {
                "metric": first.metric,
                "of": first.of,
                "mean": statistics.mean(values),
                "sd": statistics.stdev(values) if len(values) > 1 else None,
                "chance": first.chance,
                "untrained": statistics.mean(r.untrained for r in rows if r.untrained is not None),
                "lowest lower bound of the gain": min(r.gain_interval[0] for r in rows if r.gain_interval),
            }
        )
    return table


def pairs(config: cp.Config) -> list[list[str]]:
    """The pairs of modalities that are trained together."""
    return [list(p["pair"] if isinstance(p, dict) else p) for p in config.run.method["pairs"]]


def retrieval(rows: list[Row]) -> Table:
    """A table from each modality (rows) to each other (columns)."""
    cells = {tuple(row.of.split(" → ")): f"{100 * row.value:.1f} %" for row in rows}
    names = list(dict.fromkeys(a for a, _ in cells))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("from", *names):
        table.add_column(name, justify="left" if name == "from" else "right")
    for a in names:
        table.add_row(a, *(cells.get((a, b), "") for b in names))
    return table


def publish(evaluations: list[Evaluation], config: cp.Config, run: Path, args: argparse.Namespace) -> None:
    """Write the figures and pictures that the README shows."""
    recall = next(r for r in evaluations[0].rows if r.metric == "R@10")
    runs = [{"fold": 0, "seed": s, "readings": read(cp.load(args.out / f"seed-{s}"), s)} for s in args.seeds]
    found = {
        "command": f"python examples/demo.py --seeds {' '.join(map(str, args.seeds))} --write",
        "seeds": args.seeds,
        "pairs": pairs(config),
        "gallery": recall.queries,
        "figures": summary(evaluations),
        "rooms": pooled(runs, READING),
    }
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    write()
    for picture in (args.out / "views.png", run / "pictures/search.png"):
        shutil.copy(picture, FIGURES.parent / picture.name)


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a value of the config"
    )
    parser.add_argument("--write", action="store_true", help="write docs/figures and the README's table")
    args = parser.parse_args()

    console, began = Console(highlight=False), time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    console.print("[bold]1[/] what the model will see")
    config = cp.Config.load(CONFIG, args.set)
    picture_views(Parts(config), args.out / "views.png")
    console.print(f"picture   {args.out / 'views.png'}", soft_wrap=True)
    console.print("[bold]2[/] training, evaluation, pictures")
    evaluations = [one_seed(seed, args.out, args.set, console) for seed in args.seeds]
    where = args.out / f"seed-{args.seeds[0]}"
    run = cp.load(where)
    console.print("[bold]3[/] search and report")
    found = search(run, "test", {"text": "wooden chair"}, k=6)
    query, things = things_found(run, found)
    console.print(f"picture   {search_sheet(found, query, things, where / 'pictures' / 'search.png')}", soft_wrap=True)
    console.print(f"report    {write_report(run)}", soft_wrap=True)
    if args.write:
        publish(evaluations, config, where, args)
    recalls = [r for r in evaluations[0].rows if r.metric == "R@10"]
    console.print("\n[bold]retrieval[/] R@10 of the held-out pieces")
    console.print(retrieval(recalls))
    console.print(f"\ndone in {time.monotonic() - began:.0f} s. Next:", soft_wrap=True)
    for command in (
        f'contrapose search {where} --query text="garden bench" -k 8 -o bench.png',
        f"contrapose embed {where} {CONFIG.parent / 'data/furniture/furniture.parquet'} -o embeddings.parquet",
        "contrapose init YOUR_FOLDER_OR_TABLE",
    ):
        console.print(f"  {command}", soft_wrap=True)


if __name__ == "__main__":
    try:
        main()
    except cp.ContraposeError as error:
        sys.exit(f"error: {error}")
