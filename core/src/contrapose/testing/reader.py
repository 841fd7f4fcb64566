"""What a reader of data must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from contrapose.config import build
from contrapose.data.samples import read_sample, sample_ids
from contrapose.errors import DataError
from contrapose.testing.compare import must, same, stir, unmoved_randomness
from contrapose.testing.contract import NOTHING, Contract
from contrapose.testing.draw import drawn, picks
from contrapose.testing.worker import in_worker
from contrapose.types import Modality, Reader, Sample


class ReaderContract(Contract):
    """A reader gives any sample by its position, the same each time and in any process, under an id that stays.

    Attributes:
        arguments: what it is made with; paths are below ``folder``, which a property can fill (``self.folder``).
        modalities: what loads the cells, by name: ``{"wave": "acme/wave"}``; none for a reader that loads by itself.
        columns: which column or columns hold each modality; by default those of their names.
        meta: which columns become numbers, by the name in ``Sample.meta``.
        broken: positions of samples that can't be read.
        damaged: arguments, laid over ``arguments``, of readers of data that are damaged as a whole: cut off, or of another kind.
    """

    kind = "reader"
    modalities: Mapping[str, Any] = NOTHING
    columns: Mapping[str, Any] = NOTHING
    meta: Mapping[str, str] = NOTHING
    broken: Sequence[int] = ()
    damaged: Sequence[Mapping[str, Any]] = ()

    def make(self, **facts: Any) -> Any:
        """The reader, anew."""
        return super().make(**self._given, **facts)

    @property
    def _given(self) -> dict[str, Any]:
        """What a run gives a reader beyond its arguments."""
        return {
            "modalities": self._modalities,
            "columns": {m: self.columns.get(m) for m in self._modalities},
            "meta": dict(self.meta) or None,
            "vocabularies": None,
            "base": self.folder,
        }

    @cached_property
    def _modalities(self) -> dict[str, Modality]:
        return {name: build("modality", node) for name, node in self.modalities.items()}

    @cached_property
    def reader(self) -> Any:
        """The reader; its modalities are fitted on it, where they fit."""
        made = self.make()
        for name, modality in self._modalities.items():
            if hasattr(modality, "fit"):
                modality.fit(made.cells(name), getattr(made, "root", self.folder))
        return made

    @property
    def good(self) -> list[int]:
        """Positions of samples that can be read."""
        return [i for i in range(len(self.reader)) if i not in self.broken]

    # -- checks ------------------------------------------------------------------------------------------------------

    def test_it_gives_samples_by_position(self) -> None:
        """A length, and a ``Sample`` for each position; one that lacks a modality lacks its key."""
        reader = self.reader
        assert isinstance(reader, Reader), f"{type(reader).__name__} needs __len__ and __getitem__"
        assert self.good, "give a reader of at least one sample that can be read"
        for i in self.good:
            with must(f"the sample at position {i} must be read"):
                sample = reader[i]
            assert isinstance(sample, Sample), f"a reader gives Samples, not {type(sample).__name__}"
            assert not any(value is None for value in sample.data.values()), (
                "a missing modality is an absent key of data, not None"
            )
            other = set(sample.data) - set(self._modalities)
            assert not other or not self._modalities, f"it gives {', '.join(sorted(other))}, which it wasn't asked for"

    def test_it_ends(self) -> None:
        """Beyond the last position there is ``IndexError``, so that a loop over it ends."""
        count = len(self.reader)
        try:
            self.reader[count]
        except IndexError:
            return
        except Exception as error:
            pytest.fail(f"position {count} of {count} samples must raise IndexError, not {type(error).__name__}")
        pytest.fail(f"position {count} of {count} samples must raise IndexError")

    def test_ids_stay(self) -> None:
        """They are 0 to N-1, each once, and another reader of the same data gives the same: banks and splits go by them."""
        ids, again = ([int(i) for i in sample_ids(reader)] for reader in (self.reader, self.make()))
        assert ids == again, "another reader of the same data must give the same ids: draw none"
        assert sorted(ids) == list(range(len(ids))), f"ids must be 0 to N-1, each once, not {ids[:8]}"
        wrong = next((i for i in self.good if self.reader[i].id != ids[i]), None)
        assert wrong is None, f"ids says {ids[wrong or 0]} of position {wrong}, but its sample another: make them equal"

    @drawn(positions=lambda self: picks(len(self.good)))
    def test_a_sample_is_the_same_each_time(self, positions: list[int]) -> None:
        """In whatever order samples are read, and whatever the global random state."""
        first = [self._read(self.good[i], 1) for i in positions]
        again = [self._read(self.good[i], 2) for i in reversed(positions)]
        assert same(first, again[::-1]), "a sample must be the same each time: draw nothing, keep no place"

    def test_workers_read_the_same(self) -> None:
        """It can be sent to a worker started by spawn, and reads the same there."""
        i = self.good[0]
        with must("the reader in a worker process must read what it reads here"):
            there = in_worker(read_sample, self.reader, i)
        assert same(there[0], self.reader[i], 1e-6), "a sample must be the same in a worker process"

    def test_meta_are_numbers(self) -> None:
        """Each sample has the same columns, of numbers; ``meta`` of the reader names them with their dtypes."""
        columns = [self.reader[i].meta for i in self.good]
        for meta in columns:
            wrong = [n for n, value in meta.items() if not isinstance(value, Real)]
            assert not wrong, f"meta holds numbers, but {', '.join(wrong)} is none: code words as numbers"
            assert meta.keys() == columns[0].keys(), (
                f"every sample must have the same meta, not {', '.join(meta)} alone"
            )
        said = getattr(self.reader, "meta", None)
        if said is not None:
            assert set(said) == set(columns[0]), "the reader's meta must name the columns of its samples' meta"
            for name in said:
                if hasattr(self.reader, "column"):
                    found = np.asarray(self.reader.column(name))[self.good]
                    assert same(found.tolist(), [meta[name] for meta in columns]), (
                        f"column({name!r}) must give what the samples' meta say"
                    )

    def test_what_cannot_be_read_is_told_in_one_line(self) -> None:
        """A broken sample is ``DataError``, from ``read`` beside what could be read, and spoils no other."""
        if not self.broken:
            pytest.skip("this class names no position that can't be read (broken)")
        for i in self.broken:
            try:
                _, failed = read_sample(self.reader, i)
                errors: list[Exception] = [error for _, error in failed]
            except Exception as error:
                errors = [error]
            assert errors, f"position {i} can't be read: say so by DataError, don't make something up"
            for told in errors:
                _in_one_line(told, f"position {i}")

    def test_damaged_data_are_refused_in_one_line(self) -> None:
        """``DataError``, in one line, when the reader of ``damaged`` is made, or asked for its first sample."""
        if not (damaged := self.damaged):
            pytest.skip("this class names no damaged data (damaged)")
        for wrong in damaged:
            shown = ", ".join(f"{name}={value!r}" for name, value in wrong.items())
            try:
                build("reader", {**self.node, **wrong}, **self._given)[0]
            except Exception as error:
                _in_one_line(error, shown)
            else:
                pytest.fail(f"{shown} is damaged: say so by DataError, don't make something up")

    @drawn(positions=lambda self: st.lists(st.sampled_from(self.good), unique=True, max_size=4))
    def test_a_part_keeps_its_ids(self, positions: list[int]) -> None:
        """``subset`` gives the samples at these positions as they are, under the same ids."""
        if not hasattr(self.reader, "subset"):
            pytest.skip("it has no subset")
        with must("subset must take any positions"):
            part = self.reader.subset(positions)
        assert len(part) == len(positions), f"a part of {len(positions)} positions must have as many samples"
        assert [int(i) for i in sample_ids(part)] == [int(sample_ids(self.reader)[i]) for i in positions], (
            "a part must keep the ids of its samples"
        )
        assert same([part[n] for n in range(len(part))], [self.reader[i] for i in positions]), (
            "a part must give the samples that it was asked for"
        )

    def test_its_fingerprint_tells_data_apart(self) -> None:
        """Equal for another reader of the same data, another for a part of them."""
        if not hasattr(self.reader, "fingerprint"):
            pytest.skip("it has no fingerprint")
        mine = self.reader.fingerprint()
        assert mine == self.make().fingerprint(), "fingerprint must be equal for another reader of the same data"
        if hasattr(self.reader, "subset"):
            assert mine != self.reader.subset([0]).fingerprint(), "fingerprint must tell a part from the whole"

    def _read(self, position: int, seed: int) -> Sample:
        stir(seed)
        with unmoved_randomness("a reader"):
            sample: Sample = self.reader[position]
            return sample


def _in_one_line(error: Exception, of: str) -> None:
    assert isinstance(error, DataError), f"{of} must be DataError, not {type(error).__name__}: {error}"
    assert len(str(error).splitlines()) == 1, f"the DataError of {of} must be one line, not {str(error)!r}"
