"""What is said of each term at the end of a training."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from contrapose.engine.metrics import read_metrics
from contrapose.engine.summary import summary


def test_each_term_is_told_by_the_last_epochs_means(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "step,epoch,lr,loss,loss/a~b,loss/a~a,top1/a~b,tau/a~b,spread/a\n"
        "1,0,0.1,9,9,9,0.9,0.5,1\n"
        "2,1,0.1,3,2,1,0.25,0.07,1\n"
        "3,1,0.1,3,4,1,nan,0.07,1\n"
    )
    out = io.StringIO()
    Console(file=out, width=80).print(summary(read_metrics(tmp_path / "metrics.csv")))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[0] == ["last", "epoch", "loss", "R@1", "in", "batch", "temperature"]
    assert lines[1] == ["a~b", "3.0000", "25.0", "%", "0.0700"]
    assert lines[2] == ["a~a", "1.0000", "–", "–"]
