"""The modality, fitted: it keeps the mean of the training split."""

import numpy as np
import torch

from contrapose import DataError
from contrapose.data.cells import read_bytes


class Pulse:
    """Eight numbers, in the table or in a text file."""

    name = "pulse"
    dtype = torch.float32
    extensions = (".pulse",)

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self.mean = np.zeros(8, np.float32)

    def fit(self, cells, root):
        self.mean = np.mean([self._numbers(cell, root) for cell in cells], axis=0)

    def state_dict(self):
        return {"mean": self.mean}

    def load_state_dict(self, state):
        self.mean = np.asarray(state["mean"], np.float32)

    def facts(self):
        return {"receptors": 8}

    def load(self, cells, root):
        return (self._numbers(cells, root) - self.mean) * np.float32(self.scale)

    def collate(self, items):
        return torch.from_numpy(np.stack([np.asarray(item, np.float32) for item in items]))

    def preview(self, data):
        return {"text/html": f"<pre>{np.asarray(data).round(2).tolist()}</pre>"}

    def _numbers(self, cells, root):
        cell = next(iter(cells.values()))
        try:
            if isinstance(cell, (bytes, str)):
                cell = [float(word) for word in read_bytes(cell, root).split()]
            found = np.asarray(cell, np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"a pulse is a list of numbers: {error}") from error
        if found.shape != (8,):
            raise DataError(f"a pulse has 8 numbers, this has the shape {found.shape}")
        return found
