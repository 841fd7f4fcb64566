"""Views that learn from the run: at the start of an epoch they look at what the encoders make of the training set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from contrapose.clock import Clock
from contrapose.data import Loader
from contrapose.errors import CheckpointError
from contrapose.methods.gather import share
from contrapose.types import Rows, ViewGenerator
from contrapose.views import ViewPlan

Look = Callable[[ViewGenerator, str], Iterator[Rows]]
"""``look(view, ref)``: a table of the method, batch by batch, over the whole training set as ``view`` shows it."""


class LearntViews:
    """The generators of a plan that have ``refresh``, and what they found, which a checkpoint holds.

    Where one found something new, the loader's workers end: the next epoch's start with it.
    """

    def __init__(self, plan: ViewPlan, look: Look, loader: Loader) -> None:
        self.generators, self.look, self.loader = plan.learning, look, loader

    def epoch(self, clock: Clock) -> None:
        """Let each of them look, at the start of an epoch. All ranks call it, and hold rank 0's findings afterwards."""
        changed = [bool(g.refresh(self.look, clock)) for g in self.generators.values()]
        if any(changed):
            found = {name: tensor.to(self.loader.device) for name, tensor in self.state().items()}
            share([*found.values()])
            self.load(found)
            self.loader.close()

    def state(self) -> dict[str, Tensor]:
        """What they found: tensors by ``<generator>/<name>``."""
        return {
            f"{key}/{name}": torch.as_tensor(value)
            for key, generator in self.generators.items()
            for name, value in generator.state_dict().items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave, on the CPU. Raises ``CheckpointError`` where it fits no generator."""
        states: dict[str, dict[str, Tensor]] = {}
        for path, tensor in tensors.items():
            key, _, name = path.rpartition("/")
            if key not in self.generators:
                raise CheckpointError(f"the checkpoint holds what a view {key!r} found, which this run hasn't")
            states.setdefault(key, {})[name] = tensor.cpu()
        for key, state in states.items():
            self.generators[key].load_state_dict(state)
