"""Every preset under one budget on CIFAR-10: accuracy of the same tap, beside the untrained and the supervised encoder.

make methods-table                                        # all that lack a result, then docs/methods-table.md
python examples/methods_table/run.py simclr byol          # these methods alone
python examples/methods_table/run.py --jobs 2 --seeds 0 1 2

Each method runs in a process of its own and leaves ``runs/methods-table/NAME.json``; what is there isn't run again.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import resumed  # noqa: E402

TABLE = HERE / "table.yaml"
RESULTS = Path("runs/methods-table")


@cache
def table() -> dict[str, Any]:
    """``table.yaml``."""
    return resumed.parsed(TABLE)


def config_of(name: str, said: dict[str, Any], seed: int) -> dict[str, Any]:
    """The config of one run: the base, what the method runs on, and what it changes itself; ``again/NAME`` on other pictures."""
    from contrapose.engine.recipe import lay_over

    if name.startswith("again/"):
        return config_of(name.removeprefix("again/"), said, seed) | {"data": said["again"]["data"]}
    own = dict(said["methods"].get(name) or said["references"].get(name) or {})
    for remark in ("beside", "labels"):
        own.pop(remark, None)
    ground = said["grounds"][own.pop("on")] if "on" in own else {}
    method = own.pop("method", {})
    if name in said["methods"]:
        method = {"use": name, **method}
    config: dict[str, Any] = lay_over(lay_over(said["base"], ground), own)
    return config | {"method": method, "train": {**config["train"], "seed": seed}}


def rows(said: dict[str, Any]) -> list[str]:
    """All rows of the page."""
    return [*said["references"], *said["methods"], *(f"again/{name}" for name in said["again"]["methods"])]


def one_seed(name: str, seed: int, said: dict[str, Any]) -> dict[str, Any]:
    """Train and measure: accuracies of the picture encoder's ``pooled`` tap on the test pictures, and what it cost."""
    import torch

    import contrapose as cp
    from contrapose.engine.build import Parts
    from contrapose.engine.run import Run
    from contrapose.evaluate.geometry import effective_rank
    from contrapose.evaluate.knn import knn
    from contrapose.evaluate.linear import probe

    config = cp.Config.of(config_of(name, said, seed))
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        if "untrained" in name:
            run = Run(Path(folder), Parts(config)).untrained()
        else:
            run = cp.train(config, out=Path(folder) / "run", quiet=True)
        seconds = time.process_time() - began
        gallery = "gallery" if "gallery" in run.parts.splits else "train"
        train, test = (run.embed(split, "image", head="pooled")["image"] for split in (gallery, "test"))
    labels, wanted = train.columns["label"], test.columns["label"]
    near = knn(torch.from_numpy(train.z), labels, torch.from_numpy(test.z))
    linear = probe("linear", train.z, labels, test.z, seed=seed).predicted
    return {
        "seed": seed,
        "knn": float((near == wanted).mean()),
        "linear": float((linear == wanted).mean()),
        "rank": effective_rank(torch.from_numpy(test.z)),
        "seconds": seconds,
        "gpu_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
    }


def work(name: str, seeds: list[int]) -> None:
    """Those seeds of a method that lack a result, in this process; writes the method's file after each."""
    import torch

    from contrapose.plugins import registry

    torch.set_num_threads(1)
    registry().load_file(HERE / "sights.py")
    said = table()
    for seed in missing(name, seeds, said):
        run = one_seed(name, seed, said) | {"config": digest(name, seed, said), "peak_bytes": peak()}
        resumed.keep(RESULTS / f"{name}.json", run)


def missing(name: str, seeds: list[int], said: dict[str, Any]) -> list[int]:
    """The seeds without a result of the config as it is now."""
    return resumed.missing(RESULTS / f"{name}.json", seeds, lambda seed: digest(name, seed, said))


def digest(name: str, seed: int, said: dict[str, Any]) -> str:
    """A run's config in eight letters."""
    return resumed.digest(config_of(name, said, seed))


def peak() -> int:
    """The largest part of the memory that this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def spawn(name: str, seeds: list[int]) -> str:
    """The same in a process of its own, on one thread; what to tell of it."""
    ask = [sys.executable, __file__, name, "--here", "--seeds", *map(str, seeds)]
    one = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(ask, capture_output=True, text=True, check=False, env=one)
    if done.returncode:
        (RESULTS / f"{name}.err").write_text(done.stdout + done.stderr)
        return f"{name:23} FAILED: {(done.stderr.strip() or 'no word').splitlines()[-1]}"
    runs = resumed.known(RESULTS / f"{name}.json")
    mean = {key: sum(r[key] for r in runs) / len(runs) for key in ("knn", "linear", "rank", "seconds")}
    shown = f"kNN {100 * mean['knn']:.1f}  linear {100 * mean['linear']:.1f}  rank {mean['rank']:.0f}"
    return f"{name:23} {shown}  {mean['seconds']:.0f} s  ({len(runs)} seeds)"


def main() -> None:
    """Run what lacks a result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        work(args.methods[0], args.seeds)
        return
    said = table()
    names = args.methods or rows(said)
    for data, pictures in ((said["base"]["data"], ("0", "2000")), (said["again"]["data"], ("2000", "8000"))):
        if not Path(data).exists():
            build = [sys.executable, HERE.parent / "data/build_cifar10.py", "--train", "4000", "-o", data]
            subprocess.run([*build, "--after", pictures[0], "--test", pictures[1]], check=True)
    (RESULTS / "again").mkdir(parents=True, exist_ok=True)
    waiting = [n for n in names if missing(n, args.seeds, said)]
    with ThreadPoolExecutor(args.jobs) as pool:
        lines = list(pool.map(lambda n: _said(spawn(n, args.seeds)), waiting))
    if failed := [line for line in lines if "FAILED" in line]:
        sys.exit(f"{len(failed)} of {len(lines)} failed: see runs/methods-table/*.err")


def _said(line: str) -> str:
    print(line, flush=True)
    return line


if __name__ == "__main__":
    main()
