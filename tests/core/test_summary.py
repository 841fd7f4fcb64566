"""What is said of each term at the end of a training."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from tests.algebra import Net

from contrapose import Method, registry
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


def test_edges_are_told_with_both_ways_and_what_is_fixed(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "step,epoch,loss,loss/a~b,loss/a~a,top1/a~b,top1/a~a,top1_from/a~b/a,top1_from/a~b/b,gap/a~b,samples/a~b,samples/a~a\n"
        "1,0,3,2,1,0.4,0.5,0.25,nan,0.125,10,12\n"
        "2,0,3,2,1,0.4,0.5,0.35,nan,0.375,11,12\n"
    )
    data = registry().load("method", "pair-graph")(  # type: ignore[operator]
        pairs=[["a", "a"], {"pair": ["a", "b"], "tau": 0.05, "weight": 0.5}], out=4
    )
    method = Method.from_data(data, {m: Net(m) for m in "ab"})
    out = io.StringIO()
    Console(file=out, width=100).print(summary(read_metrics(tmp_path / "metrics.csv"), method))
    head, *lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert head == "last epoch loss R@1 in batch gap temperature weight samples"
    assert lines[0] == "a~b 2.0000 30.0 / – % 0.250 0.0500 0.50 10.5"
    assert lines[1] == "a~a 1.0000 50.0 % – 0.1000 1.00 12.0"
