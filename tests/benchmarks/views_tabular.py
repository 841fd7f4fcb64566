"""``views_tabular``: SCARF's corruption of a batch of rows, against the loops over rows and columns that one writes by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from tests.benchmarks.bench import Bench, NotMeasured
from tests.benchmarks.harness import GateError, alternate, median_ratio, medians, versions
from tests.benchmarks.table import Row

RATE = 0.6


def values(x: Tensor, table: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Column by column, new values from training rows drawn for that column."""
    made = x.clone()
    for j in range(x.shape[1]):
        row = torch.randint(len(table), (len(x),), generator=generator)
        made[:, j] = torch.where(mask[:, j], table[row, j], x[:, j])
    return made


def loop(x: Tensor, table: Tensor, generator: torch.Generator) -> Tensor:
    """As the first pytorch-scarf (clabrugere) had it: each row's columns by a permutation, then column by column."""
    mask = torch.zeros_like(x, dtype=torch.bool)
    count = int(RATE * x.shape[1])
    for i in range(len(x)):
        mask[i, torch.randperm(x.shape[1], generator=generator)[:count]] = True
    return values(x, table, mask, generator)


def columns_alone(x: Tensor, table: Tensor, generator: torch.Generator) -> Tensor:
    """The same with all rows' columns chosen at once, by sorting."""
    order = torch.rand(x.shape, generator=generator).argsort(1)
    mask = torch.zeros_like(x, dtype=torch.bool).scatter_(1, order[:, : int(RATE * x.shape[1])], True)
    return values(x, table, mask, generator)


def gate(table: Tensor, made: Tensor) -> None:
    """Raise ``GateError`` unless every row of -1 has exactly so many new values, each of its column, as often as training has it.

    By Kolmogorov and Smirnov's distance of each column's new values to the training split's, below 2.5 / sqrt(n).
    """
    redrawn = made != -1
    if not (redrawn.sum(1) == int(RATE * table.shape[1])).all():
        raise GateError("some row has not exactly the share of new values: not timed")
    for j in range(table.shape[1]):
        new, train = made[redrawn[:, j], j].numpy(), np.sort(table[:, j].numpy())
        if not np.isin(new, train).all():
            raise GateError(f"column {j} has a value that training lacks: not timed")
        at = np.sort(new)
        below = (np.searchsorted(values, at, side="right") / len(values) for values in (train, at))
        far = np.abs(np.subtract(*below)).max()
        if far > 2.5 * np.sqrt(1 / len(at) + 1 / len(train)):
            raise GateError(f"column {j} is not drawn from its marginal ({far:.3f} away): not timed")


def measure(bench: Bench) -> Iterator[Row]:
    """4096 rows of 64 numbers, marginals of 20,000 training rows, a third of whose columns has few distinct values."""
    try:
        from contrapose_tabular.marginals import Marginals
        from contrapose_tabular.scarf import Scarf
    except ImportError as why:
        raise NotMeasured(f"contrapose-tabular is not installed ({why})") from why
    n, columns, rows = bench.pick((4096, 64, 20_000), (256, 16, 2000))
    draws = bench.generator()
    table = torch.randn(rows, columns, generator=draws).abs()
    table[:, ::3] = table[:, ::3].round(decimals=1)
    scarf, no_categories = Scarf(RATE), torch.zeros(n, 0, dtype=torch.int64)
    scarf.load_state_dict(
        {
            "numeric": Marginals.of(table.numpy()).state_dict(),
            "categories": Marginals.of(np.zeros((rows, 0), np.int64)).state_dict(),
        }
    )

    def ours(x: Tensor) -> Tensor:
        return scarf.batched({"numeric": x, "categories": no_categories}, draws)["numeric"]

    strange = torch.full((n, columns), -1.0)
    for made in (ours(strange), loop(strange, table, draws), columns_alone(strange, table, draws)):
        gate(table, made)
    x = table[torch.randint(rows, (n,), generator=draws)]
    rounds = bench.pick(7, 2)
    sides = {
        "ours": lambda: ours(x),
        "loop": lambda: loop(x, table, draws),
        "columns": lambda: columns_alone(x, table, draws),
    }
    times = alternate(sides, rounds)
    median = medians(times)
    yield Row(
        name="views_tabular",
        workload=f"SCARF's corruption, {n} rows of {columns} columns, {rows:,} training rows",
        ours=median["ours"],
        peer_name="loops over rows and columns (pytorch-scarf)",
        peer=median["loop"],
        to_peer=median_ratio(times["ours"], times["loop"]),
        rounds=rounds,
        targets={"to_peer": 1 / 5},
        versions=versions("contrapose-tabular"),
        notes=f"a loop over columns alone: {median_ratio(times['ours'], times['columns']):.3g}",
    )
