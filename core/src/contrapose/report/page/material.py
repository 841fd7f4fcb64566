"""What a report is made from: what the run folder holds, and what the trained method says of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrapose.config.build import check
from contrapose.config.json import parse
from contrapose.data.split import TRAIN
from contrapose.engine import checkpoint
from contrapose.engine.metrics import Metrics, read_metrics
from contrapose.engine.skipped import Skip, read_skipped
from contrapose.errors import ConfigError, ContraposeError, DataError, warn
from contrapose.evaluate import Embedded, evaluate
from contrapose.evaluate.evaluate import embedded
from contrapose.evaluate.evaluation import Row
from contrapose.types import Reader, StreamReader

if TYPE_CHECKING:
    from contrapose.engine.run import Run


@dataclass(frozen=True)
class Material:
    """A run as far as it can be read. ``absent`` says in one line why there is no ``embedded``; then ``rows`` may lack too."""

    run: Run
    metrics: Metrics
    skipped: list[Skip]
    state: dict[str, Any] = field(default_factory=dict)
    split: str = ""
    rows: list[Row] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)
    embedded: Embedded | None = None
    absent: str = ""

    @property
    def train(self) -> Any:
        """The config's ``train`` section."""
        return self.run.config.run.train

    @cached_property
    def splits(self) -> dict[str, Reader]:
        """The data by split; without streams, which can't be counted, and empty where they can't be read."""
        try:
            return {name: part for name, part in self.run.parts.splits.items() if not isinstance(part, StreamReader)}
        except ContraposeError:
            return {}

    @cached_property
    def planned(self) -> int | None:
        """How many steps the config asks for; None where that depends on data that can't be read."""
        if self.train.steps:
            return int(self.train.steps)
        return int(self.train.epochs * len(self.run.parts.train_loader())) if self.splits else None


def gather(
    run: Run, split: str | None, baseline: bool, seed: int, tell: Callable[[str], None] = lambda line: None
) -> Material:
    """Read the folder, evaluate the run where ``evaluation.json`` isn't of its last checkpoint, and embed ``split``.

    ``split`` None is that of ``evaluation.json``, else ``test``, else the first but ``train``. What can't be had (a checkpoint,
    the data) is told as a warning and left out. Raises ``ConfigError`` for a split that there isn't.
    """
    metrics, skipped = read_metrics(run.dir / "metrics.csv"), read_skipped(run.dir)
    evaluated, rows, unmeasured = read_evaluation(run.dir)
    wanted = split or evaluated
    try:
        state = checkpoint.newest(run.dir / "checkpoints", warn).state
        part = wanted or choose(run.parts.splits)
        run.reader(part)
        if rows and part == evaluated:
            tell(f"embedding the {part} split")
            tables = embedded(run, part, seed)
        else:
            tell(f"evaluating on the {part} split")
            evaluation = evaluate(run, part, baseline, seed)
            rows, unmeasured, tables = evaluation.rows, [*evaluation.unmeasured()], evaluation.embedded
        if not (tables.tables(part, "projected") and tables.tables(part, "pooled")):
            raise DataError(f"nothing of the {part!r} split can be embedded")
    except ContraposeError as error:
        if split is not None and isinstance(error, ConfigError):
            raise
        absent = " ".join(str(error).split())
        warn(f"the report lacks what needs the data and the trained encoders: {absent}")
        return Material(run, metrics, skipped, split=evaluated or "", rows=rows, unmeasured=unmeasured, absent=absent)
    return Material(run, metrics, skipped, state, part, rows, unmeasured, tables)


def choose(splits: Mapping[str, Reader]) -> str:
    """The split that a report is about where nobody says: ``test``, else the first that isn't trained on, else ``train``."""
    others = [name for name in splits if name != TRAIN]
    return "test" if "test" in others else others[0] if others else TRAIN


def read_evaluation(folder: Path) -> tuple[str | None, list[Row], list[str]]:
    """The split of ``evaluation.json``, its rows, and what wasn't measured; neither where they are of an earlier checkpoint."""
    path = folder / "evaluation.json"
    try:
        tree = parse(path.read_text(encoding="utf-8"))
        rows = [_row(row) for row in tree["rows"]]
        split = str(tree["split"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
        return None, [], []
    last = checkpoint.latest(folder / "checkpoints")
    if last and tree.get("checkpoint") != last:
        return split, [], []
    return split, rows, [str(line) for line in tree.get("unmeasured", ())]


def _row(saved: dict[str, Any]) -> Row:
    """A row of the file, in which what wasn't finite is null."""
    kept: dict[str, Any] = {k: None if isinstance(v, list) and None in v else v for k, v in saved.items()}
    kept["value"] = float("nan") if kept["value"] is None else kept["value"]
    made: Row = check(kept, Row)
    return made
