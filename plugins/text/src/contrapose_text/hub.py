"""What Hugging Face loads: from a folder on this machine without the network, or by a name that the user gave, from its hub."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from contrapose.errors import ConfigError

T = TypeVar("T")
_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")


def load(from_pretrained: Callable[..., T], where: str, argument: str, **options: Any) -> T:
    """``from_pretrained(where, **options)``, without progress bars, reports, code of the model's own, or pickles that run code.

    Raises ``ConfigError`` under ``argument`` in one line where ``where`` is neither a folder nor to be had from the hub.
    """
    folder = Path(where).expanduser()
    if folder.is_dir():
        where, options = str(folder), {**options, "local_files_only": True}
    elif not _NAME.fullmatch(where):
        raise ConfigError(f"there is no folder {where}", (argument,))
    try:
        with quiet():
            return from_pretrained(where, trust_remote_code=False, **options)
    except Exception as error:  # transformers raises a dozen kinds, for a broken file as for a missing network
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        if folder.is_dir():
            raise ConfigError(f"the folder {where} can't be loaded: {reason}", (argument,)) from error
        raise ConfigError(
            f"{where!r} is no folder here, nor could the Hugging Face hub give it ({reason}); "
            "offline, give the path of a folder",
            (argument,),
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars, reports and warnings."""
    from transformers.utils import logging as hf

    disabled, bars = logging.root.manager.disable, hf.is_progress_bar_enabled()
    logging.disable(logging.WARNING)
    hf.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if bars:
            hf.enable_progress_bar()
