"""Readers: datasets that aren't tables or folders of files."""

import copy
import zlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from contrapose import DataError, Sample
from contrapose.types import Modality


class Recording:
    """The grids of one ``.npz`` file: ``grids`` (N, H, W) of numbers, ``label`` (N,) of whole numbers.

    Args:
        path: the file, as seen from the config.
        modalities: those that the run reads, by name.
    """

    meta = {"label": np.dtype(np.int64)}

    def __init__(self, path: str, modalities: Mapping[str, Modality]) -> None:
        try:
            with np.load(path) as file:
                self.grids, self.label = file["grids"], file["label"]
        except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise DataError(f"{path}: no recording: {error}") from error
        self.ids = np.arange(len(self.label))
        self.modality = modalities["my_modality"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, position: int) -> Sample:
        row = int(self.ids[position])
        data = self.modality.load({"grid": self.grids[row]}, Path())
        return Sample(row, {"my_modality": data}, {"label": int(self.label[row])})

    def words(self, name: str) -> list[str]:
        """The labels as text."""
        return [str(value) for value in self.label[self.ids]]

    def subset(self, positions: np.ndarray) -> "Recording":
        """The samples at these positions, under the same ids."""
        part = copy.copy(self)
        part.ids = self.ids[positions]
        return part
