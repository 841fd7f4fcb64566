"""A reader that keeps to what a reader must have, and takes an address."""

import numpy as np

from contrapose import Sample


class MadeUp:
    """Pulses out of nothing: ``pulse:24`` has 24 of them."""

    def __init__(self, modalities, uri: str = "pulse:24") -> None:
        self.modalities, self.count = modalities, int(uri.partition(":")[2])

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        cell = np.sin(np.arange(8) * (1 + int(i) % 5)).astype(np.float32).tolist()
        return Sample(int(i), {"pulse": self.modalities["pulse"].load({"pulse": cell}, None)}, {"kind": int(i) % 5})

    def cells(self, modality):
        return [{"pulse": np.sin(np.arange(8) * (1 + i % 5)).tolist()} for i in range(self.count)]
