"""What protocols keep of their runs, and what they run again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

from resumed import current, digest, keep, known, missing, work  # noqa: E402


def test_a_run_is_kept_beside_the_others_and_not_run_again(tmp_path: Path) -> None:
    file = tmp_path / "row" / "a.json"
    assert known(file) == []
    for seed in (2, 0, 2):
        keep(file, {"seed": seed, "config": f"of {seed}"})
    assert [run["seed"] for run in known(file)] == [0, 2]
    assert {"device", "torch"} < json.loads(file.read_text()).keys()
    assert [path.name for path in file.parent.iterdir()] == ["a.json"]
    assert missing(file, [0, 1, 2], lambda seed: f"of {seed}") == [1]


def test_a_run_of_another_config_is_out_of_date(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    keep(file, {"split": 0, "config": digest({"lr": 1})}, "split")
    assert current(file, lambda split: digest({"lr": 1}), "split") == known(file)
    assert missing(file, [0], lambda split: digest({"lr": 2}), "split") == [0]


def test_work_runs_what_lacks_seed_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[str, int]] = []

    def one(name: str, seed: int) -> dict:
        calls.append((name, seed))
        return {"knn": 0.5, "more": {}}

    for lr in (1, 1, 2):
        work(
            iter("ab"),
            [0, 1],
            lambda name: tmp_path / f"{name}.json",
            lambda name, seed, lr=lr: digest([name, lr]),
            one,
        )
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1)] * 2
    assert known(tmp_path / "b.json")[1] == {"seed": 1, "config": digest(["b", 2]), "knn": 0.5, "more": {}}
    assert capsys.readouterr().out.startswith("a (seed 0): knn 0.5\n")


def test_the_order_of_keys_changes_no_digest() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


def test_a_script_is_started_again_once_on_one_thread(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.append({str(ROOT / 'examples')!r})\nimport resumed\nresumed.on_one_thread()\n"
        "import os; print(os.environ['OMP_NUM_THREADS'], *sys.argv[1:]); sys.exit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, script, "a b"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert (done.returncode, done.stdout) == (3, "1 a b\n")
