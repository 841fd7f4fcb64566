"""Samples of any reader, whatever it leaves out of what a reader may have."""

from __future__ import annotations

from collections.abc import Sequence

from contrapose.types import Reader, Sample


def read_sample(reader: Reader, position: int) -> tuple[Sample, list[tuple[str, Exception]]]:
    """The sample at a position, and (modality, error) for what of it can't be read, where the reader tells."""
    if hasattr(reader, "read"):
        read: tuple[Sample, list[tuple[str, Exception]]] = reader.read(position)
        return read
    return reader[position], []


def sample_ids(reader: Reader) -> Sequence[int]:
    """The id of each position."""
    ids: Sequence[int] = reader.ids if hasattr(reader, "ids") else [reader[i].id for i in range(len(reader))]
    return ids
