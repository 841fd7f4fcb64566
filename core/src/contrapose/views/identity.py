"""The view that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contrapose.types import Sample, View


@dataclass
class Identity:
    """The sample's own data as a view, for modalities that need no augmentation."""

    modality: str

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """One view holding ``sample.data[modality]`` itself."""
        return [View("", self.modality, sample.data[self.modality])]
