"""What a benchmark found: a row, its JSON line, and its line in ``docs/benchmarks.md``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HEAD = "| name | workload | peer | ours / peer | ours / floor | memory, ours / peer | gradient error | targets |"
BEGIN, END = "<!-- measured: {} -->", "<!-- /measured: {} -->"
MEASURES = ("to_peer", "to_floor", "memory_to_peer", "gradient_error")


@dataclass(frozen=True)
class Row:
    """One measured workload.

    ``ours``, ``peer`` and ``floor`` are medians in seconds, ``to_peer`` and ``to_floor`` the ratios of ours to them (less than 1
    is faster), ``memory`` extra peak bytes. ``targets`` are upper bounds for any of ``MEASURES``.
    """

    name: str
    workload: str
    ours: float
    peer_name: str = ""
    peer: float | None = None
    to_peer: float | None = None
    floor: float | None = None
    memory: int | None = None
    peer_memory: int | None = None
    gradient_error: float | None = None
    rounds: int = 0
    targets: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""

    @property
    def to_floor(self) -> float | None:
        """Ours over the floor."""
        return None if self.floor is None else self.ours / self.floor

    @property
    def memory_to_peer(self) -> float | None:
        """Our extra peak memory over the peer's."""
        return None if self.memory is None or not self.peer_memory else self.memory / self.peer_memory

    @property
    def met(self) -> dict[str, bool | None]:
        """Whether each target is met; None where it could not be measured."""
        found = {name: getattr(self, name) for name in self.targets}
        return {name: None if found[name] is None else found[name] <= bound for name, bound in self.targets.items()}

    def record(self, **context: Any) -> dict[str, Any]:
        """The JSON line's content; ``context`` says on what machine and when."""
        derived = {"to_floor": self.to_floor, "memory_to_peer": self.memory_to_peer, "met": self.met}
        return {**asdict(self), **derived, **context}

    def line(self) -> str:
        """The row in Markdown."""
        ratio = "" if self.to_peer is None else f"{self.to_peer:.3g}{_faster(self.to_peer)}"
        words = {True: "met", False: "**missed**", None: "not measured"}
        goals = ", ".join(
            f"{_WORDS[name]} <= {bound:.3g}: {words[self.met[name]]}" for name, bound in self.targets.items()
        )
        cells = [
            f"`{self.name}`",
            self.workload,
            self.peer_name,
            ratio,
            "" if self.to_floor is None else f"{self.to_floor:.3g}",
            "" if self.memory_to_peer is None else f"{self.memory_to_peer:.3g}",
            "" if self.gradient_error is None else f"{self.gradient_error:.1e}",
            "; ".join(filter(None, [goals, self.notes])),
        ]
        return f"| {' | '.join(cells)} |"


_WORDS = {"to_peer": "peer", "to_floor": "floor", "memory_to_peer": "memory", "gradient_error": "error"}


def _faster(ratio: float) -> str:
    return f" ({1 / ratio:.1f}x faster)" if ratio < 0.9 else ""


def append(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Add JSON lines to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def render(path: Path, section: str, rows: Iterable[Row], about: str) -> None:
    """Replace the rows by name in the table between a section's markers, and keep what wasn't measured this time."""
    text = path.read_text()
    begin, end = BEGIN.format(section), END.format(section)
    before, _, rest = text.partition(begin)
    inside, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{path} has no {begin} ... {end}")
    lines = {line.split("|")[1].strip(): line for line in inside.splitlines() if line.startswith("| `")}
    lines |= {f"`{row.name}`": row.line() for row in rows}
    table = "\n".join([HEAD, "|" + "---|" * (HEAD.count("|") - 1), *lines.values()])
    path.write_text(f"{before}{begin}\n\n{about}\n\n{table}\n\n{end}{after}")
