"""A config to begin with: sensible for what was found and for this machine, and said why in comments."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from itertools import combinations
from typing import Any

from contrapose.start.found import Found

CORE_READS, GPU_READS = 50_000, 4_000_000
"""How often a first run meets a thing's modality: some minutes of a core at a CPU's small sizes, an hour or so of a GPU."""
MOST_CORES = 8
MOST_EPOCHS = 200
EVERY_PAIR = 3
"""Up to so many modalities all pairs are joined; with more, the pairs of one hub."""


@dataclass(frozen=True)
class Machine:
    """What a run may count on."""

    gpu: bool
    cores: int

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        import torch

        return cls(torch.cuda.is_available(), cores())


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def draft(found: Found, data: str, machine: Machine) -> str:
    """The text of a config for what was found. ``data``: the way to it from the config's folder."""
    names = list(found.modalities)
    several = len(names) > 1
    blocks = {
        "modalities": {name: claim.said for name, claim in found.modalities.items()},
        "views": {key: node for n, c in found.modalities.items() for key, node in _views(n, c.views, several)},
        "encoders": {name: claim.encoder for name, claim in found.modalities.items()},
    }
    lines = [
        f"# Drafted by `contrapose init`: {found.things:,} things with {_listed(names)}. Change what you like:",
        "# `contrapose plugins` lists the views and encoders that there are, `contrapose show view NAME` what one takes.",
        f"data: {inline(data)}",
        *_meta(found),
        f"split: {inline(found.split)}  {_about_split(found.split)}",
    ]
    for section, entries in blocks.items():
        lines += [f"{section}:", *(f"  {inline(key)}: {inline(node)}" for key, node in entries.items())]
    lines += [*(_pair_graph(found) if several else _simclr()), *_train(found, machine)]
    return "\n".join(lines) + "\n"


def inline(node: Any) -> str:
    """A plain tree as YAML on one line."""
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = True
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 1 << 20
    out = StringIO()
    writer.dump(node, out)
    return out.getvalue().removesuffix("...\n").strip()


def _views(modality: str, node: Any, several: bool) -> Iterator[tuple[str, Any]]:
    """The entries of ``views``: a node, or one for each slot. SimCLR asks for two views by its slots, a pair graph by none."""
    if isinstance(node, Mapping) and "use" not in node:
        yield from ((f"{modality}.{slot}", of_slot) for slot, of_slot in node.items())
    elif several:
        yield modality, {**(node if isinstance(node, Mapping) else {"use": node}), "count": 2}
    else:
        yield modality, node


def _meta(found: Found) -> Iterator[str]:
    if found.meta:
        yield f"meta: {inline(found.meta)}  # never trained on: to score and colour by"
    for column, count in found.labels.items():
        read = any(column in claim.columns for claim in found.modalities.values())
        out = "; then take it out of modalities" if read else ""
        yield f"# meta: {inline({'label': column, **found.meta})}  # {count} values to score and colour by{out}"
    if found.unused:
        yield f"# not used: {inline(found.unused)}"


def _about_split(split: Mapping[str, Any]) -> str:
    if "column" in split:
        return "# who trains and who tests, as the data say"
    if "by" in split:
        return "# a fifth is held out to score on, whole groups at a time"
    return "# a fifth is held out to score on; `by: COLUMN` keeps what belongs together on one side"


def _simclr() -> list[str]:
    return [
        "# Two views of a thing agree, against all others of the batch (Chen et al. 2020, arXiv:2002.05709).",
        "# `contrapose methods` lists others.",
        "method: simclr",
    ]


def _pair_graph(found: Found) -> list[str]:
    """Each modality's views with themselves, and the pairs of modalities that some things have both of."""
    names = list(found.modalities)
    has = {name: claim.has for name, claim in found.modalities.items()}
    if len(names) <= EVERY_PAIR:
        joined, why = list(combinations(names, 2)), "Every pair is joined."
    else:
        hub = max(names, key=lambda name: int(has[name].sum()))
        joined = [(hub, name) for name in names if name != hub]
        why = f"All are joined to {hub}, which the most things have, and so to one another."
    both = {pair: int((has[pair[0]] & has[pair[1]]).sum()) for pair in joined}
    pairs = [[name, name] for name in names] + [list(pair) for pair, count in both.items() if count]
    return [
        "# A term for each pair: [a, a] lets the views of one modality agree, [a, b] those of two on things that have both.",
        f"# {why}",
        "method:",
        "  use: pair-graph",
        f"  pairs: {inline(pairs)}",
    ]


def _train(found: Found, machine: Machine) -> list[str]:
    batch = batch_size(found.train)
    steps = found.train // batch
    budget = GPU_READS if machine.gpu else CORE_READS * min(machine.cores, MOST_CORES)
    passes = budget // (found.train * len(found.modalities))
    epochs = min(max(passes, 1), MOST_EPOCHS)
    how_long = "longer" if not passes else "an hour or so on a GPU" if machine.gpu else "minutes on a CPU"
    workers = min(machine.cores - 1, 8) if machine.gpu else min(machine.cores // 2, 4)
    rows = {
        f"epochs: {epochs}": f"{epochs * steps:,} steps, {how_long}; `train` says how long before it begins",
        f"batch_size: {batch}": "a thing is told from the others of its batch: more is better, as memory allows",
        "lr: 1e-3": "",
        f"workers: {workers}": f"processes that make views; this machine has {machine.cores} cores",
    }
    if not machine.gpu:
        rows[f"threads: {max(machine.cores - workers, 1)}"] = "the other cores compute"
    wide = max(map(len, rows))
    return ["train:", *(f"  {row:{wide}}  # {why}" if why else f"  {row}" for row, why in rows.items())]


def batch_size(things: int) -> int:
    """A power of two that leaves eight steps an epoch, but at least 16, at most 256, and never more than there are things."""
    wanted = min(max(things // 8, 16), 256, things)
    return 1 << int(math.log2(wanted))


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
