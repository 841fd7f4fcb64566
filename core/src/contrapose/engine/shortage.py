"""What a machine may run out of while a run trains (memory, disk, a worker), told in one line that says what to set."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contrapose.data.failure import lost_worker, out_of_memory
from contrapose.errors import CheckpointError, ConfigError, ContraposeError
from contrapose.plugins import registry

from .gradcache import require_exact

if TYPE_CHECKING:
    from contrapose.config.schema import TrainConfig
    from contrapose.methods.method import Method

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def told(method: Method, train: TrainConfig, folder: Path, processes: int) -> Iterator[None]:
    """Raise what the machine lacks to train ``method`` as one line; the run in ``folder`` can go on from its last checkpoint.

    Raises:
        ContraposeError: no memory, the CPU's or a GPU's: names ``train.chunk_size``, then ``train.batch_size``.
        DataError: a loader worker died.
        CheckpointError: a full disk.
    """
    try:
        yield
    except ContraposeError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise ContraposeError(_less(method, train, folder, processes)) from error
        if dead := lost_worker(error):  # torch says so wherever the main process just is
            raise dead from error
        if isinstance(error, OSError) and error.errno in FULL:
            raise CheckpointError(
                f"can't write to the run folder {folder}: {error.strerror}; its checkpoints are whole: make room, then go on "
                f"with: contrapose train --resume {folder}{registry().options}"
            ) from error
        raise


def _less(method: Method, train: TrainConfig, folder: Path, processes: int) -> str:
    """What to set, and to what: half of what there was."""
    share = -(-train.batch_size // processes)
    now = min(train.chunk_size or share, share)
    if now == 1:
        return f"out of memory with one sample at a time through the encoders: set train.batch_size below {train.batch_size}"
    said = f"out of memory with {now:,} samples at a time through the encoders: "
    try:
        require_exact(method.train(), train.chunk_batchnorm)
    except ConfigError:
        apart = "train.sync_batchnorm=false and " if train.sync_batchnorm else ""
        return (
            f"{said}start anew with train.chunk_size={now // 2} (GradCache) and a network without BatchNorm, or "
            f"{apart}train.chunk_batchnorm=true, or train.batch_size below {train.batch_size:,}"
        )
    again = f"contrapose train --resume {folder}{registry().options} --set train.chunk_size={now // 2}"
    return (
        f"{said}go on with {again} (GradCache: the same gradient in less memory); where the loss itself doesn't fit, start "
        f"anew with train.batch_size below {train.batch_size:,}"
    )
