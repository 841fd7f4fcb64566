"""The harness itself: that its gate closes, its turns alternate, its memory counts, and its records can be read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tests.benchmarks import (
    clip_cpu,
    clip_max_b,
    fps,
    framework_tax,
    moco_queue,
    multi_positive_cpu,
    ntxent_cpu,
    run,
    siglip_mem,
    table,
)
from tests.benchmarks.bench import Bench
from tests.benchmarks.floors import Ceilings, measure_ceilings
from tests.benchmarks.harness import GateError, alternate, exact, extra_peak, gate, median_ratio

INPUTS = [torch.randn(24, 8), torch.randn(24, 8)]
EXACT = exact(ntxent_cpu.reference, INPUTS)
CEILINGS = Ceilings("cpu", matmul=100.0, copy=10.0, exp=5.0)


def test_the_gate_passes_the_same_formula_and_tells_its_error():
    error = gate(ntxent_cpu.reference, INPUTS, EXACT, 1e-4)
    assert 0 < error < 1e-5


def test_the_gate_rejects_a_wrong_gradient_under_a_right_value():
    def detached_keys(inputs):
        z = F.normalize(torch.cat(list(inputs)), dim=1)
        logits = (z @ z.detach().T / ntxent_cpu.TAU).fill_diagonal_(-torch.inf)
        return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z) // 2))

    with pytest.raises(GateError, match="against float64"):
        gate(detached_keys, INPUTS, EXACT, 1e-3)


def test_the_gate_rejects_not_a_number():
    with pytest.raises(GateError):
        gate(lambda inputs: ntxent_cpu.reference(inputs) * torch.nan, INPUTS, EXACT, 1e-3)


def test_the_sides_take_turns() -> None:
    calls: list[str] = []
    times = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warmup=1)
    assert calls == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_the_ratio_is_taken_within_rounds():
    assert median_ratio([1.0, 10.0, 2.0], [2.0, 20.0, 1.0]) == 0.5


def test_extra_peak_counts_what_is_held_at_once():
    mib = 2**20

    def one_after_the_other():
        for _ in range(4):
            torch.ones(mib).sum()

    def at_once():
        kept = [torch.ones(mib) for _ in range(4)]
        return sum(float(x[0]) for x in kept)

    assert extra_peak(one_after_the_other) == pytest.approx(4 * mib, rel=0.1)
    assert extra_peak(at_once) == pytest.approx(16 * mib, rel=0.1)


def test_the_floor_is_the_longer_of_products_and_bytes():
    assert CEILINGS.floor(flops=200, moved=10) == 2.0
    assert CEILINGS.floor(flops=100, moved=30) == 3.0
    assert CEILINGS.floor(flops=100, exps=10) == 3.0


def test_ceilings_are_plausible():
    found = measure_ceilings(torch.device("cpu"), quick=True)
    assert found.matmul > 1e8
    assert found.copy > 1e8
    assert found.exp > 1e6


@pytest.mark.parametrize("module", [ntxent_cpu, clip_cpu, siglip_mem, multi_positive_cpu, moco_queue, clip_max_b])
def test_a_loss_row_is_measured_gated_and_recorded(module, tmp_path: Path):
    rows = list(module.measure(Bench(torch.device("cpu"), CEILINGS, quick=True)))
    assert len(rows) == 1
    assert 0 <= rows[0].gradient_error < 1e-4
    assert rows[0].memory > 0
    table.append(tmp_path / "found" / "cpu.jsonl", [row.record(threads=1) for row in rows])
    record = json.loads((tmp_path / "found" / "cpu.jsonl").read_text())
    assert record["name"] == rows[0].name
    assert record["to_floor"] == rows[0].ours / rows[0].floor
    assert set(record["met"]) == set(rows[0].targets)
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record["threads"] == 1


def test_the_step_by_hand_is_our_step():
    pytest.importorskip("contrapose_image")
    (row,) = framework_tax.measure(Bench(torch.device("cpu"), CEILINGS, quick=True))
    assert 0 < row.gradient_error < 1e-4  # the gate: another loss, head or batch would be an error here
    assert row.rounds >= 2


def test_farthest_points_are_gated_and_measured():
    pytest.importorskip("contrapose_pointcloud")
    rows = {row.name: row for row in fps.measure(Bench(torch.device("cpu"), CEILINGS, quick=True))}
    assert rows.keys() == {"fps", "fps_loop"}
    assert rows["fps_loop"].to_peer > 0
    x = torch.randn(2, 64, 3)
    fps.gate(x, chosen := fps.loop(x, 16))
    chosen[1, 7] = chosen[1, 15]
    with pytest.raises(GateError, match="nearer than the farthest"):
        fps.gate(x, chosen)


def test_the_table_keeps_what_was_not_measured_again(tmp_path: Path):
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{table.BEGIN.format('cpu')}\n{table.END.format('cpu')}\nafter\n")
    first = table.Row("one", "work", ours=1.0, peer=2.0, to_peer=0.5, targets={"to_peer": 0.1})
    table.render(page, "cpu", [first, table.Row("two", "work", ours=1.0)], "a machine")
    assert "peer <= 0.1: **missed**" in page.read_text()
    table.render(page, "cpu", [table.Row("one", "work", ours=1.0, to_peer=0.05, targets={"to_peer": 0.1})], "a machine")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "missed" not in text
    assert text.count("| `one` |") == text.count("| `two` |") == 1


def test_no_gpu_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run.main(["--gpu"]) == 0
    assert capsys.readouterr().out == "benchmarks: no CUDA device here; the GPU rows stay as they are\n"


def test_an_unknown_row_is_named(capsys):
    with pytest.raises(SystemExit):
        run.main(["nt_xent_cpu"])
    assert "no benchmark nt_xent_cpu; there is cli_start" in capsys.readouterr().err
