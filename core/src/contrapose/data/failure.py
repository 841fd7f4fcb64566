"""What may go wrong with one sample, and what must stop a run."""

from __future__ import annotations

import torch

from contrapose.errors import ConfigError, ContraposeError, DataError, PluginError

NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What the message of a plain ``RuntimeError`` holds where it was memory that lacked."""


def raise_if_fatal(error: Exception, what: str) -> None:
    """Raise what no sample would escape: a missing package, a wrong config, no memory. All else is the sample's own."""
    if isinstance(error, ImportError):
        raise PluginError(f"{what}: {one_line(error)}; install the package that it needs") from error
    if out_of_memory(error):
        raise MemoryError(f"{what}: {one_line(error)}") from error
    if isinstance(error, ConfigError) or (isinstance(error, ContraposeError) and not isinstance(error, DataError)):
        raise error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error is Python's, the CPU allocator's or a GPU's want of memory."""
    said = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(sign in said for sign in NO_MEMORY)


def no_memory_to_load() -> DataError:
    """The one line for a batch that doesn't fit into memory before it reaches the model."""
    return DataError("out of memory while loading: set train.workers or train.batch_size lower")


def lost_worker(error: BaseException) -> DataError | None:
    """The one line for a loader worker that died, where ``error`` is how torch tells of it."""
    if isinstance(error, RuntimeError) and "DataLoader worker (pid" in str(error):
        return DataError("a worker process died, often for lack of memory; set train.workers lower")
    return None


def one_line(error: BaseException) -> str:
    """An error as one line for a table: its kind, unless its message is meant for people, and its message."""
    message = " ".join(str(error).split())[:300]
    return message if isinstance(error, ContraposeError) else f"{type(error).__name__}: {message}".rstrip(": ")
