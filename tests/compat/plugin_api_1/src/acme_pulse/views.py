"""Views: a function with a batched form, and a class that makes two."""

import numpy as np
import torch

from contrapose import Sample, View, view


def jitter_batch(batch, generator, sigma: float = 0.1):
    noise = torch.randn(batch.shape, generator=generator, device=batch.device)
    return batch + sigma * noise


@view("pulse", batched=jitter_batch)
def jitter(pulse, rng, sigma: float = 0.1):
    """Noise."""
    return (pulse + rng.normal(0, sigma, pulse.shape)).astype(np.float32)


@view("pulse")
def still(pulse, rng):
    """As it is."""
    return pulse


class Halves:
    """Two views, each blind on one side."""

    modality = "pulse"
    view_names = ("left", "right")

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength

    def __call__(self, sample: Sample, rng: np.random.Generator):
        pulse = sample.data["pulse"] * np.float32(rng.uniform(0.8, 1.2))
        left, right = pulse.copy(), pulse.copy()
        left[4:] *= 1 - self.strength
        right[:4] *= 1 - self.strength
        return [View("left", "pulse", left), View("right", "pulse", right, {"gain": 1.0})]
