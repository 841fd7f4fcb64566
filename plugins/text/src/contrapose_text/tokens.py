"""Tokens of texts, and a memory map of those that were tokenised once, which all workers read without a copy of their own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from contrapose.data.failure import one_line
from contrapose.errors import warn

Tokens = NDArray[np.int32]
"""A text's tokens (m,), without what fills up a row. A mark that the tokenizer adds ([CLS]) is the complement of its id."""

_VERSION = 2  # raise it when what is kept of the same texts changes
_CHARACTERS = 32
"""A token, that are read at first."""
_AT_ONCE = 4096
_ARRAYS = ("first", "second", "start", "stop")


def tokenised(tokenizer: Tokenizer, texts: Sequence[str], length: int) -> list[Tokens]:
    """The tokens of each text, of which the tokenizer keeps ``length``.

    It reads a whole text before it cuts it, and a file may be a book: so its beginning is read, and more where that is too little.
    """
    made: dict[int, Tokens] = {}
    left, characters = [*range(len(texts))], _CHARACTERS * length
    while left:
        parts = [_beginning(texts[i], characters) for i in left]
        short = []
        for i, part, found in zip(left, parts, tokenizer.encode_batch(parts), strict=True):
            if found.overflowing or len(part) == len(texts[i]):
                made[i] = _tokens(found)
            else:
                short.append(i)
        left, characters = short, 4 * characters
    return [made[i] for i in range(len(texts))]


def _beginning(text: str, characters: int) -> str:
    """At most so many, up to a blank where there is one: of a word that is cut other tokens may be made."""
    if len(text) <= characters:
        return text
    blank = text.rfind(" ", 0, characters)
    return text[: blank if blank > 0 else characters]


def _tokens(found: Any) -> Tokens:
    count = sum(found.attention_mask)
    ids = np.array(found.ids[:count], dtype=np.int32)
    marks = np.array(found.special_tokens_mask[:count], dtype=bool)
    return np.where(marks, ~ids, ids)


class KeptTokens:
    """Tokens by text, in a folder of arrays that are mapped where they lie: texts are told by a digest of 128 bits.

    The folder's name follows from the tokenizer and the texts, so that no other is ever found under it. It is written whole or not
    at all, so any number of processes may make it. Sent to another process, it is opened there anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def make(cls, within: Path, tokenizer: Tokenizer, texts: Iterable[str], length: int) -> KeptTokens | None:
        """Those of ``texts``, which are iterated twice, in a folder ``within``, made where it isn't there.

        None where there is no text, or, with a warning, where it can't be written.
        """
        keys = np.concatenate([_keys(()), *(_keys(some) for some in _batches(texts))])
        if not len(keys):
            return None
        said = hashlib.blake2b(f"{_VERSION} {length} {tokenizer.to_str()}".encode(), digest_size=16)
        said.update(keys.tobytes())
        made = cls(within / said.hexdigest())
        if made.there:
            return made
        partial = None
        try:
            within.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(dir=within, suffix=".partial"))
            _write(partial, keys, (tokenised(tokenizer, some, length) for some in _batches(texts)))
            with contextlib.suppress(OSError):  # another process was faster
                os.rename(partial, made.folder)
        except OSError as error:
            warn(f"can't write the cache {within}: {error.strerror or error}; going on without")
        finally:
            if partial is not None:
                shutil.rmtree(partial, ignore_errors=True)
        return made if made.there else None

    @property
    def there(self) -> bool:
        """Whether the folder is."""
        return self.folder.is_dir()

    def find(self, texts: Sequence[str]) -> list[Tokens | None]:
        """The tokens of each text, None for one that isn't kept."""
        if self._arrays is None:
            return [None] * len(texts)
        first, second, start, stop, ids = self._arrays
        keys = _keys(texts)
        at = np.searchsorted(first, keys[:, 0]).clip(max=len(first) - 1)
        hits = (first[at] == keys[:, 0]) & (second[at] == keys[:, 1])
        found = zip(hits.tolist(), start[at].tolist(), stop[at].tolist(), strict=True)
        return [ids[begin:end] if hit else None for hit, begin, end in found]

    @cached_property
    def _arrays(self) -> list[NDArray[Any]] | None:
        """None, with a warning, where they were taken away, or are damaged."""
        try:
            arrays = [np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS]
            ids = np.memmap(self.folder / "ids", np.int32, "r")
            if len({*map(len, arrays)}) > 1 or len(ids) < arrays[-1].max():
                raise ValueError("it is cut short")
            return [*arrays, ids]
        except (OSError, ValueError) as error:
            warn(f"the tokens kept in {self.folder} can't be read, and are made anew: {one_line(error)}")
            return None

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}


def _write(folder: Path, keys: NDArray[np.uint64], batches: Iterator[list[Tokens]]) -> None:
    """Write the arrays: ids one text after another, and where each text's begin and end, in the order of the keys."""
    counts: list[int] = []
    with open(folder / "ids", "wb") as file:
        file.write(np.int32(0).tobytes())  # an empty file couldn't be mapped
        for some in batches:
            counts += [len(tokens) for tokens in some]
            file.write(np.concatenate(some).tobytes())
    stop = 1 + np.cumsum(counts, dtype=np.int64)
    _, order = np.unique(keys[:, 0], return_index=True)
    arrays = {"first": keys[order, 0], "second": keys[order, 1], "start": (stop - counts)[order], "stop": stop[order]}
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", arrays[name])


def _keys(texts: Sequence[str]) -> NDArray[np.uint64]:
    """A digest of each text, (n, 2)."""
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(joined, np.uint64).reshape(-1, 2)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    left = iter(texts)
    while some := list(islice(left, _AT_ONCE)):
        yield some
