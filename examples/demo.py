"""Point clouds and pictures of furniture in one space: views, training, evaluation, pictures.

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

import contrapose as cp
from contrapose.engine.build import Parts
from contrapose.evaluate import Evaluation, evaluate
from contrapose.report.pictures import picture_run, picture_views

HERE = Path(__file__).parent
CONFIG = HERE / "furniture.yaml"
SHOWN = [
    ("R@1", "pointcloud → image"),
    ("R@10", "pointcloud → image"),
    ("R@1", "image → pointcloud"),
    ("R@10", "image → pointcloud"),
    ("linear SVM", "pointcloud"),
    ("kNN", "pointcloud"),
    ("kNN", "image"),
]


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


def summary(evaluations: list[Evaluation]) -> dict[str, dict[str, object]]:
    """Mean and spread over seeds of the figures that the README shows."""
    table = {}
    for metric, of in SHOWN:
        rows = [e.row(metric, of) for e in evaluations]
        values = [r.value for r in rows]
        table[f"{metric}, {of}"] = {
            "mean": statistics.mean(values),
            "sd": statistics.stdev(values) if len(values) > 1 else None,
            "chance": rows[0].chance,
            "untrained": statistics.mean(r.untrained for r in rows if r.untrained is not None),
            "lowest lower bound of the gain": min(r.gain_interval[0] for r in rows if r.gain_interval),
        }
    return table


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
    picture_views(Parts(cp.Config.load(CONFIG, args.set)), args.out / "views.png")
    console.print(f"picture   {args.out / 'views.png'}", soft_wrap=True)
    console.print("[bold]2[/] training, evaluation, pictures")
    evaluations = [one_seed(seed, args.out, args.set, console) for seed in args.seeds]
    if args.write:
        FIGURES.parent.mkdir(parents=True, exist_ok=True)
        found = {
            "command": f"python examples/demo.py --seeds {' '.join(map(str, args.seeds))} --write",
            "seeds": args.seeds,
        }
        FIGURES.write_text(json.dumps(found | {"figures": summary(evaluations)}, indent=1, ensure_ascii=False) + "\n")
        write()
        for picture in ("views.png", f"seed-{args.seeds[0]}/pictures/retrieval_pointcloud_to_image.png"):
            shutil.copy(args.out / picture, FIGURES.parent / Path(picture).name)
        console.print(f"figures   {FIGURES}", soft_wrap=True)
    rows = [r for e in evaluations for r in e.rows if r.metric == "R@10"]
    console.print(
        "\n[bold]retrieval[/] R@10: " + ", ".join(f"{r.of} {100 * r.value:.0f} %" for r in rows), soft_wrap=True
    )
    run = args.out / f"seed-{args.seeds[0]}"
    console.print(f"\ndone in {time.monotonic() - began:.0f} s. Next:", soft_wrap=True)
    for command in (
        f"contrapose embed {run} {CONFIG.parent / 'data/furniture/furniture.parquet'} -o embeddings.parquet",
        "contrapose show method pointcloud/crosspoint",
        f"contrapose train {CONFIG} --set train.epochs=160 --out runs/longer",
    ):
        console.print(f"  {command}", soft_wrap=True)


if __name__ == "__main__":
    try:
        main()
    except cp.ContraposeError as error:
        sys.exit(f"error: {error}")
