"""What Hugging Face loads: from a folder on this machine without the network, or by a name that the user gave, from its hub."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import Tokenizer

from contrapose.errors import ConfigError

T = TypeVar("T")
TOKENIZERS = ("tokenizer*.json", "*vocab*", "*.model", "*.spm", "*.tiktoken", "tekken.json")
"""Names of the files that hold a tokenizer's words."""

LONGEST = 300
"""Most characters of a reason that is told whole."""

_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")


def load(from_pretrained: Callable[..., T], where: str, argument: str, **options: Any) -> T:
    """``from_pretrained(where, **options)``, without progress bars, reports, code of the model's own, or pickles that run code.

    Raises ``ConfigError`` under ``argument`` in one line where ``where`` is neither a folder nor to be had from the hub.
    """
    folder = Path(where).expanduser()
    if folder.is_dir():
        where, options = str(folder), {**options, "local_files_only": True}
        if argument == "tokenizer" and not _has_words(folder):  # of some models transformers would make one of no words
            raise ConfigError(f"the folder {where} holds no tokenizer", (argument,))
    elif not _NAME.fullmatch(where):
        raise ConfigError(f"there is no folder {where}", (argument,))
    try:
        with quiet():
            return from_pretrained(where, trust_remote_code=False, **options)
    except Exception as error:  # transformers raises a dozen kinds, for a broken file as for a missing network
        reason = _reason(error)
        if folder.is_dir():
            raise ConfigError(f"the folder {where} can't be loaded: {reason}", (argument,)) from error
        raise ConfigError(
            f"{where!r} is no folder here, nor could the Hugging Face hub give it ({reason}); "
            "offline, give the path of a folder",
            (argument,),
        ) from error


def same_words(tokenizer: str, path: str) -> bool:
    """Whether most ids mean the same in both, if both are at hand. Some may not: one's own words in the place of unused ones."""
    given_at, own_at = Path(tokenizer).expanduser(), Path(path).expanduser()
    # A folder's user may be offline: even told to look here alone, transformers asks the hub for a name.
    if given_at.resolve() == own_at.resolve() or (own_at.is_dir() and not given_at.exists()):
        return True
    given, own = _vocabulary(tokenizer), _vocabulary(path)
    return not given or not own or 2 * len(given.items() & own.items()) >= min(len(given), len(own))


def _vocabulary(where: str) -> dict[str, int] | None:
    """The ids of the tokens of a tokenizer file, a folder or a name on the hub; None where it can't be had."""
    from transformers import AutoTokenizer

    path = Path(where).expanduser()
    try:
        if path.is_file():
            return Tokenizer.from_file(str(path)).get_vocab()
        return load(lambda *args, **kw: AutoTokenizer.from_pretrained(*args, **kw).get_vocab(), where, "tokenizer")
    except Exception:  # as `load`; the tokenizers library raises nothing narrower
        return None


def _has_words(folder: Path) -> bool:
    names = {file.name for pattern in TOKENIZERS for file in folder.glob(pattern)}
    return bool(names - {"tokenizer_config.json"})


def _reason(error: Exception) -> str:
    """The first line of a message, or all of it in one where that only announces what follows."""
    first = (str(error).splitlines() or [type(error).__name__])[0].rstrip()
    return (" ".join(str(error).split())[:LONGEST] if first.endswith(":") else first).rstrip(".")


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
