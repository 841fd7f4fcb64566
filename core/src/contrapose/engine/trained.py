"""A trained run: its folder, its parts, and the method with the weights of its last checkpoint."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from contrapose.config import Config
from contrapose.data.failure import one_line
from contrapose.data.frame import is_frame
from contrapose.errors import CheckpointError, ConfigError, DataError
from contrapose.methods.method import Method
from contrapose.types import Reader, StreamReader

from . import checkpoint
from .build import Parts, fingerprint
from .calibrate import calibrate
from .checkpoint import Checkpoint
from .device import use_cuda
from .early_stopping import best_step
from .embed import Embeddings, Head, embed
from .metrics import read_metrics
from .skipped import Unread, read_skipped


class Run:
    """A trained run: its folder ``dir``, its ``config``, and its ``method`` with the last checkpoint's weights."""

    def __init__(self, dir: Path, parts: Parts, method: Method | None = None) -> None:
        self.dir = dir
        self.parts = parts
        if method is not None:
            self.method = method

    @property
    def config(self) -> Config:
        """What it was trained by, all defaults in their places."""
        return self.parts.config

    @cached_property
    def method(self) -> Method:
        """The method in eval mode, on the GPU where ``train.device`` allows and there is one."""
        return restored(self.dir, self.parts).to(_device(self.config)).eval()

    @cached_property
    def unread(self) -> Unread:
        """How much of the training split could not be read while it was trained on."""
        skips, train = read_skipped(self.dir), self.config.run.train
        steps = read_metrics(self.dir / "metrics.csv").steps
        shown, data = int(steps[-1]) * train.batch_size if len(steps) else 0, self.parts.splits["train"]
        seen = shown if isinstance(data, StreamReader) else min(shown, len(data))
        return Unread(len(skips), len({sample for sample, _, _ in skips}), seen)

    def reader(self, split: str = "train") -> Reader:
        """A split of the data that the run was trained on, by position. Raises ``DataError`` for a stream."""
        splits = self.parts.splits
        if split not in splits:
            raise ConfigError(f"the data have no split {split!r}; there is {', '.join(splits)}")
        if isinstance(splits[split], StreamReader):
            raise DataError(
                f"{split} is a stream, and this needs samples by position: write it down by contrapose pack"
            )
        return splits[split]

    def encoder(self, modality: str) -> nn.Module:
        """A modality's encoder, a plain module in eval mode that gives its taps: ``{"pooled": (n, D), ...}``."""
        encoders = self.method.encoders
        if modality not in encoders:
            raise ConfigError(f"the run has no encoder of {modality!r}; there is {', '.join(encoders)}")
        return encoders[modality].eval()

    def embed(
        self,
        data: Reader | str | Path = "test",
        modality: str | None = None,
        head: Head = "projected",
        batch_size: int = 256,
    ) -> dict[str, Embeddings]:
        """Embed data without augmentation: each modality's ``evaluate.views``, else its plugin's ``eval`` view, else as it is.

        Args:
            data: a split's name, a dataset's path, a table of pandas, polars or pyarrow, or a reader.
            modality: this one alone; by default each that the data have.
            head: ``projected``, the space of the loss, or ``pooled``, the encoder's own features.
            batch_size: samples at a time.

        Returns:
            ``Embeddings`` by modality.
        """
        if isinstance(data, str) and data in self.parts.splits:
            reader = self.parts.splits[data]
        else:
            reader = self.parts.open(data) if isinstance(data, (str, Path)) or is_frame(data) else data
        loader = self.parts.eval_loader(reader, batch_size, _device(self.config))
        found = embed(self.method, loader, head)
        if modality is None:
            return found
        if modality not in found:
            raise ConfigError(f"no embedding of {modality!r}; there is {', '.join(found) or 'none'}")
        return {modality: found[modality]}

    def untrained(self) -> Run:
        """This run before its first step: the same initial weights, with BatchNorm's statistics settled on the training split."""
        method = self.parts.make_method().to(_device(self.config))
        calibrate(method, self.parts.train_loader(device=_device(self.config)))
        return Run(self.dir, self.parts, method.eval())


def restored(folder: Path, parts: Parts) -> Method:
    """The method of a run with the weights of its last whole checkpoint, with early stopping of its best, on the CPU.

    Raises ``CheckpointError``.
    """
    method = parts.make_method()
    last = checkpoint.newest(folder / "checkpoints", Console(stderr=True).print)
    if (best := best_step(folder, last.step)) is not None:
        last = checkpoint.read(folder / "checkpoints" / checkpoint.folder_name(best))
    require_own(last, parts, method)
    try:
        method.load_state_dict(last.tensors("model"))
    except RuntimeError as error:  # names or shapes that aren't the method's
        raise CheckpointError(f"{last.path} doesn't fit the run's own config: {one_line(error)}") from error
    return method


def require_own(last: Checkpoint, parts: Parts, method: Method) -> None:
    """Raise ``CheckpointError`` for a checkpoint that isn't of this method."""
    if last.state.get("fingerprint") != fingerprint(parts.recipe, method):
        raise CheckpointError(f"{last.path} is of another method, or of other encoders, than this run's config says")


def _device(config: Config) -> torch.device:
    return torch.device("cuda" if use_cuda(config.run.train.device) else "cpu")
