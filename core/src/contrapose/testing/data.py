"""Where contracts have their data from: raw cells, as a modality reads them in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from contrapose.config import build
from contrapose.data.collate import Collate, Item
from contrapose.engine.fitted import load_fitted, save_fitted
from contrapose.plugins import registry
from contrapose.testing.contract import Contract
from contrapose.types import Modality, Sample, View, ViewBatch, tree_take
from contrapose.views import ViewPlan

FEWEST = 3


class SampleContract(Contract):
    """Base of the contracts of what reads samples.

    Attributes:
        cells: at least three rows of raw cells by column, as unlike each other as real ones; paths are below ``folder``.
        modality: what reads the cells, a name or ``{use: name, **arguments}``; by default the one that the offer says.
        view: what makes items of one batch out of loaded data, a node; by default the plugin's ``<modality>/eval``, else nothing.
    """

    cells: Sequence[Mapping[str, Any]] = ()
    modality: Any = None
    view: Any = None

    def make(self, **facts: Any) -> Any:
        """The component, anew, with the facts of its modality."""
        return super().make(**facts_of(self.reads), **facts)

    @cached_property
    def reads(self) -> Modality:
        """The modality, fitted on the cells."""
        node = self.modality
        if node is None and self.spec is not None:
            node = registry().find(self.kind, self.spec).spec.modality
        assert node is not None, 'say what reads the cells: modality = "name", or {"use": "name", **arguments}'
        return fitted(build("modality", node), self.rows, self.folder)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The cells, row by row."""
        rows = [dict(row) for row in self.cells]
        assert len(rows) >= FEWEST, f"give cells: at least {FEWEST} rows of raw cells by column, as unlike as real ones"
        return rows

    @cached_property
    def samples(self) -> list[Sample]:
        """A sample for each row of cells."""
        return self.loaded(self.rows)

    def loaded(self, rows: Sequence[Mapping[str, Any]]) -> list[Sample]:
        """A sample for each of these rows of raw cells."""
        name = self.reads.name
        return [Sample(i, {name: self.reads.load(row, self.folder)}) for i, row in enumerate(rows)]

    @property
    def batch(self) -> Any:
        """A collated batch of all samples."""
        return collated(self.reads, uniform(self.reads, self.samples, self.view)).data


def fitted(modality: Modality, cells: Sequence[Mapping[str, Any]], root: Path) -> Modality:
    """The same modality, fitted on the cells if it fits."""
    if hasattr(modality, "fit"):
        modality.fit(cells, root)
    return modality


def facts_of(modality: Modality) -> dict[str, Any]:
    """What views and encoders of a fitted modality get as arguments."""
    return dict(modality.facts()) if hasattr(modality, "facts") else {}


def uniform(modality: Modality, samples: Sequence[Sample], view: Any = None) -> list[View]:
    """A view of each sample by which they fit into one batch: ``view``, else the plugin's own for evaluation, else as they are."""
    name = modality.name
    if view is None and any(o.name == f"{name}/eval" for o in registry().offers("view")):
        view = f"{name}/eval"

    def make(kind: str, node: Any, path: tuple[str | int, ...], **context: Any) -> Any:
        return build(kind, node, path, **{**facts_of(modality), **context})

    views = {} if view is None else {name: view}
    plan = ViewPlan.from_config(views, None, make, [name])
    plan.fit(lambda modality: samples)
    return [plan.make(sample, seed=0, epoch=0)[0] for sample in samples]


def collated(modality: Modality, views: Sequence[View]) -> ViewBatch:
    """What the loader makes of one view of several samples. Raises ``DataError`` as it does."""
    collate = Collate({"view": modality.name}, {modality.name: modality}, {})
    items = [Item(i, {}, [View("view", v.modality, v.data, v.meta)], []) for i, v in enumerate(views)]
    made = collate(items)
    if isinstance(made, Exception):
        raise made
    return made.views["view"]


def rows_of(data: Any, rows: Sequence[int]) -> Any:
    """Rows of a collated batch, in this order; none for ``[]``."""
    return tree_take(data, torch.tensor(rows, dtype=torch.int64))


def leaves_of(data: Any) -> list[Any]:
    """The tensors, or what is there in their place, of a collated batch."""
    return [leaf for value in data.values() for leaf in leaves_of(value)] if isinstance(data, Mapping) else [data]


def state_through_files(component: Any, folder: Any) -> dict[str, Any]:
    """A fitted component's state, written to a run folder and read again."""
    save_fitted(folder, {"it": component.state_dict()})
    return cast("dict[str, Any]", load_fitted(folder)["it"])
