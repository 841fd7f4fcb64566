"""What a modality must keep."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from contrapose.config import build
from contrapose.errors import DataError
from contrapose.testing.compare import must, same, stir, unmoved_randomness
from contrapose.testing.contract import Contract
from contrapose.testing.data import (
    SampleContract,
    collated,
    facts_of,
    fitted,
    leaves_of,
    rows_of,
    state_through_files,
    uniform,
)
from contrapose.testing.draw import drawn, of_samples
from contrapose.testing.worker import in_worker
from contrapose.types import Modality, Sample, Suggestion, View, tree_shape

MIME = re.compile(r"[a-z]+/[a-z0-9.+-]+")


class ModalityContract(SampleContract):
    """A modality loads its cells, collates and shows them, and says of broken cells what is wrong.

    Attributes:
        broken: rows of cells that can't be read: truncated bytes, a file that isn't there, a value of another kind.
    """

    kind = "modality"
    broken: Sequence[Mapping[str, Any]] = ()

    def make(self, **facts: Any) -> Modality:
        """The modality, not fitted yet."""
        made: Modality = Contract.make(self, **facts)
        return made

    @cached_property
    def reads(self) -> Modality:
        """The modality, fitted on the cells."""
        return fitted(self.make(), self.rows, self.folder)

    @cached_property
    def views(self) -> list[View]:
        """A view of each sample, all of one shape."""
        return uniform(self.reads, self.samples, self.view)

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_has_a_name_and_a_dtype(self) -> None:
        """``name`` is that of its offer, ``dtype`` a torch dtype."""
        made = self.make()
        assert isinstance(made, Modality), f"a modality has name, dtype, load, collate and preview; {made!r} lacks one"
        assert isinstance(made.dtype, torch.dtype), (
            f"dtype must be a torch dtype such as torch.float32, not {made.dtype!r}"
        )
        if self.spec is not None:
            offered = self._offer().spec
            assert made.name == offered.name, (
                f"name is {made.name!r}, but it is offered as {offered.name!r}: make them equal"
            )

    def test_load_is_a_function_of_the_cells(self) -> None:
        """The same data each time, whatever the global random state, and the cells stay as they are."""
        for row in self.rows:
            kept = copy.deepcopy(row)
            loaded = []
            for seed in (1, 2):
                stir(seed)
                with unmoved_randomness("load"):
                    loaded.append(self.reads.load(row, self.folder))
            assert same(*loaded), "load must give the same data each time: draw nothing, or from a fixed seed"
            assert same(row, kept), "load must not change its cells: copy before writing"

    def test_broken_cells_are_refused_in_one_line(self) -> None:
        """``DataError``, in one line, for what can't be read; an object of no known kind never can."""
        nonsense = [{column: object() for column in row} for row in self.rows[:1]]
        for row in [*nonsense, *self.broken]:
            shown = ", ".join(f"{column}: {str(cell)[:40]!r}" for column, cell in row.items())
            said = self._refusal(row, shown)
            assert said.strip(), f"the DataError of {shown} must say what is wrong"
            assert len(said.splitlines()) == 1, f"the DataError of {shown} must be one line, not {said!r}"

    @drawn(rows=of_samples)
    def test_collate_gives_one_row_an_item(self, rows: list[int]) -> None:
        """A tensor, or a dict of tensors, whose first dimension is the item; floats become the declared dtype."""
        with must("collate must take what views return, or they must be made alike: set view on this class"):
            data = collated(self.reads, [self.views[i] for i in rows]).data
        leaves, count = leaves_of(data), len(rows)
        assert leaves, f"collate must give a tensor or a dict of tensors, not {type(data).__name__}"
        for leaf in leaves:
            assert isinstance(leaf, Tensor), f"collate must give tensors alone, but there is a {type(leaf).__name__}"
            assert leaf.shape[:1] == (count,), f"collate gave {tuple(leaf.shape)} for {count} items: a row each"
            assert not leaf.is_floating_point() or leaf.dtype == self.reads.dtype, (
                f"collate gave {leaf.dtype}, but dtype says {self.reads.dtype}: declare what the encoders read"
            )

    @drawn(rows=of_samples)
    def test_rows_of_a_batch_are_its_items(self, rows: list[int]) -> None:
        """Taking rows of a batch is collating those items."""
        data = collated(self.reads, self.views).data
        made = collated(self.reads, [self.views[i] for i in rows]).data
        if tree_shape(made) == tree_shape(data):  # not padded to a longer one
            assert same(rows_of(data, rows), made, 1e-6), (
                "a row must be that of its item, whatever its place and the other items of its batch"
            )

    def test_lengths_tell_each_datum_for_itself(self) -> None:
        """``lengths`` gives a number >= 0 for each of some loaded data, whatever the others."""
        if not hasattr(self.reads, "lengths"):
            pytest.skip("it tells no lengths")
        items = [s.data[self.reads.name] for s in self.samples]
        with must("lengths must take a list of what load returns"):
            whole, alone = ([float(n) for n in self.reads.lengths(of)] for of in (items, items[:1]))
        assert len(whole) == len(items), f"lengths gave {len(whole)} numbers for {len(items)} items: one each"
        assert min(whole) >= 0, f"a length must be a number of at least 0, not {min(whole)}"
        assert whole[:1] == alone, "lengths must tell each item for itself, whatever the others"

    def test_cells_by_column_are_those_by_row(self) -> None:
        """``load_columns``, where there is one, gives what ``load`` and ``collate`` give of the same rows."""
        by_column = getattr(self.reads, "load_columns", None)
        if by_column is None:
            pytest.skip("nothing is loaded by column")
        rows = self.reads.collate([s.data[self.reads.name] for s in self.samples])
        with must("load_columns must take the cells as an Arrow record batch"):
            made = by_column(pa.RecordBatch.from_pylist([dict(row) for row in self.rows]), self.folder)
        assert same(made, rows), "load_columns must give what collate gives of the rows that load gives"

    def test_preview_shows_something(self) -> None:
        """A MIME bundle of text or bytes, of loaded data and of views; a PNG that can be read."""
        for data in [*(s.data[self.reads.name] for s in self.samples), *(v.data for v in self.views)]:
            kept = copy.deepcopy(data)
            with must("preview must show what load and views return"):
                bundle = self.reads.preview(data)
            assert same(data, kept), "preview must not change the data: copy before writing"
            assert isinstance(bundle, Mapping), 'preview must give a MIME bundle such as {"text/plain": "..."}'
            assert bundle, "preview must give at least one form of the data, such as text/plain"
            for mime, content in bundle.items():
                assert MIME.fullmatch(mime), f"preview's key {mime!r} is no MIME type such as text/plain"
                assert isinstance(content, (bytes, str)), f"preview's {mime} must be bytes or text"
                assert content, f"preview's {mime} must not be empty"
            if "image/png" in bundle:
                _read_png(bundle["image/png"])

    def test_workers_load_and_collate_the_same(self) -> None:
        """It can be sent to a worker started by spawn, fitted, and does the same there."""
        with must("load in a worker process must do what it does here"):
            there = in_worker(self.reads.load, self.rows[0], self.folder)
            batch = in_worker(self.reads.collate, [v.data for v in self.views])
        assert same(there, self.samples[0].data[self.reads.name], 1e-6), "load must give the same in a worker process"
        assert same(batch, self.reads.collate([v.data for v in self.views]), 1e-6), (
            "collate must give the same in a worker process"
        )

    def test_what_was_fitted_is_saved_and_loaded(self) -> None:
        """``fit``, ``state_dict`` through JSON and safetensors, ``load_state_dict``: another instance does the same."""
        if not hasattr(self.make(), "fit"):
            pytest.skip("nothing is fitted")
        for name in ("state_dict", "load_state_dict"):
            assert hasattr(self.reads, name), f"a modality with fit needs {name}: what was fitted is saved with the run"
        with must("state_dict must be a tree of dicts and lists of tensors, arrays and JSON values"):
            state = state_through_files(self.reads, self.folder / "fitted")
        assert same(state_through_files(fitted(self.make(), self.rows, self.folder), self.folder / "again"), state), (
            "fit must be a function of the cells: two fits on the same cells differ"
        )
        other = self.make()
        with must("load_state_dict must take what state_dict gave"):
            other.load_state_dict(state)  # type: ignore[attr-defined]
        assert same(facts_of(other), facts_of(self.reads)), "facts must be the same after load_state_dict"
        for row, sample in zip(self.rows, self.samples, strict=True):
            loaded = other.load(row, self.folder)
            assert same(loaded, sample.data[self.reads.name]), "load must give the same after load_state_dict"

    def test_it_suggests_itself_for_its_own_columns_alone(self) -> None:
        """``suggest`` recognises its cells, claims no other column, and names views and an encoder that work."""
        made = self.make()
        if not hasattr(made, "suggest"):
            pytest.skip("nothing is suggested")
        own = {c: [row[c] for row in self.rows if row.get(c) is not None] for c in self.rows[0]}
        other = {"x": [object() for _ in self.rows]}
        assert made.suggest(other, self.folder, True) is None, (
            "suggest must give None where no column is surely its own"
        )
        for small in (True, False):
            found = made.suggest({**other, **own}, self.folder, small)
            assert isinstance(found, Suggestion), f"suggest must give a Suggestion for its own cells, not {found!r}"
            assert found.columns, f"suggest must claim columns of its own cells: {', '.join(own)}"
            assert set(found.columns) <= own.keys(), "suggest must claim no column but its own: not one of objects"
        self._try(made.suggest({**other, **own}, self.folder, True))

    def _refusal(self, row: Mapping[str, Any], shown: str) -> str:
        try:
            self.reads.load(row, self.folder)
        except DataError as error:
            return str(error)
        except Exception as error:
            pytest.fail(f"load must raise DataError in one line for {shown}, not {type(error).__name__}: {error}")
        pytest.fail(f"load must raise DataError for {shown}, which can't be read")

    def _try(self, said: Suggestion) -> None:
        """Load, view and encode as a suggested config would."""
        cells = [{c: row.get(c) for c in said.columns} for row in self.rows]
        modality = fitted(self.make(), cells, self.folder)
        with must("the views and the encoder that suggest names must be on offer and work"):
            samples = [Sample(i, {modality.name: modality.load(r, self.folder)}) for i, r in enumerate(cells)]
            encoder = build("encoder", said.encoder, **facts_of(modality))
            slots = isinstance(said.views, Mapping) and "use" not in said.views
            for node in said.views.values() if slots else [said.views]:
                encoder(collated(modality, uniform(modality, samples, node)).data)


def _read_png(content: bytes | str) -> None:
    import matplotlib.pyplot as plt  # for reading alone

    with must("preview's image/png must be the bytes of a PNG file"):
        assert isinstance(content, bytes), "preview's image/png must be bytes"
        plt.imread(io.BytesIO(content), format="png")
