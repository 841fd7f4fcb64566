"""Run benchmarks: ``python tests/benchmarks/run.py [--gpu] [--quick] [names...]``.

Each row adds a JSON line to ``bench-results/`` and, unless ``--quick``, is written into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # so that this file runs as a script
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler, which only counts bytes here, talks a lot

import torch  # noqa: E402

from tests.benchmarks import table  # noqa: E402
from tests.benchmarks.bench import Bench, NotMeasured  # noqa: E402
from tests.benchmarks.floors import measure_ceilings  # noqa: E402
from tests.benchmarks.harness import GateError  # noqa: E402

CPU = (
    "cli_start",
    "ntxent_cpu",
    "clip_cpu",
    "siglip_mem",
    "multi_positive_cpu",
    "fps",
    "views_image",
    "views_video",
    "views_tabular",
    "framework_tax",
)
GPU = ("ntxent_65k", "clip_65k", "moco_queue", "clip_max_b")
MODULES = {"ntxent_65k": "ntxent_cpu", "clip_65k": "clip_cpu"}


def main(argv: list[str] | None = None) -> int:
    """Measure what was asked for. Returns 1 when a row failed its gate, else 0."""
    parser = argparse.ArgumentParser(description="Benchmarks: ours and peers by turns, against measured floors.")
    parser.add_argument("names", nargs="*", help=f"rows; by default {', '.join(CPU)}, or with --gpu {', '.join(GPU)}")
    parser.add_argument("--gpu", action="store_true", help="the rows of one CUDA device")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and few rounds, to see that it runs; no figures"
    )
    options = parser.parse_args(argv)
    known = GPU if options.gpu else CPU
    if wrong := sorted(set(options.names) - set(known)):
        parser.error(f"no benchmark {', '.join(wrong)}; there is {', '.join(known)}")
    if options.gpu and not torch.cuda.is_available():
        print("benchmarks: no CUDA device here; the GPU rows stay as they are")
        return 0
    device = torch.device("cuda" if options.gpu else "cpu")
    ceilings = measure_ceilings(device, options.quick)
    about = _about(device)
    print(
        f"{about} {ceilings.matmul / 1e9:.0f} GFLOP/s, {ceilings.copy / 1e9:.1f} GB/s, {ceilings.exp / 1e9:.2f} Gexp/s.",
        flush=True,
    )
    bench = Bench(device, ceilings, options.quick)
    context = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": about,
        "quick": options.quick,
        "ceilings": vars(ceilings),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }
    failed = False
    for name in options.names or known:
        module = importlib.import_module(f"tests.benchmarks.{MODULES.get(name, name)}")
        try:
            rows = list(module.measure(bench))
        except NotMeasured as why:
            print(f"{name}: not measured: {why}", flush=True)
            continue
        except GateError as why:
            print(f"{name}: {why}", flush=True)
            failed = True
            continue
        for row in rows:
            print(row.line(), flush=True)
        table.append(ROOT / "bench-results" / f"{device.type}.jsonl", [row.record(**context) for row in rows])
        if not options.quick:
            table.render(ROOT / "docs" / "benchmarks.md", device.type, rows, about)
    return int(failed)


def _about(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}."
    return f"{os.cpu_count()} CPU cores ({platform.machine()}), {torch.get_num_threads()} threads, torch {torch.__version__}."


if __name__ == "__main__":
    sys.exit(main())
