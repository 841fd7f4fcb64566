"""The modality: from a table's cells to a text, to token ids, to words that a person reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Tokenizer

from contrapose.data.cache import cache_folder
from contrapose.data.cells import read_bytes
from contrapose.errors import CheckpointError, ConfigError, DataError
from contrapose.types import Suggestion
from contrapose_text import cutoff, masking
from contrapose_text.suggest import suggest
from contrapose_text.texts import Columns, Marked
from contrapose_text.tokenizer import SMALLEST, TRAINED, fixed, load, pad_of, train
from contrapose_text.tokens import KeptTokens, Tokens, tokenised

Vocabulary = Annotated[int, Field(ge=SMALLEST)]
Length = Annotated[int, Field(ge=4)]

_LONGEST_PATH = 4096
"""Characters: a cell of more is a text, whatever it ends in."""


class Text:
    """Texts: str as loaded and mostly as views return them, token ids and a mask once collated.

    The tokenizer is trained on the training split's texts (byte-level BPE, lower-cased) unless one is given, and saved with
    the run either way. A text of more than ``max_length`` tokens is cut.

    Args:
        tokenizer: a tokenizer.json, a folder that transformers saved, or a name on the Hugging Face hub where the machine is
            online. A pretrained encoder needs its own: give both the same path.
        vocabulary: tokens of a trained tokenizer, at most; a small corpus gives fewer.
        max_length: tokens of a text, at most, its marks ([CLS]) counted in.
        cache: tokenise the training split's texts once, before training, and keep that in this folder, or, for true, below
            ``CONTRAPOSE_CACHE``. Views that change words are tokenised as they come all the same.
    """

    name = "text"
    dtype = torch.int64
    extensions = (".txt",)

    def __init__(
        self,
        tokenizer: str | None = None,
        vocabulary: Vocabulary = 8000,
        max_length: Length = 64,
        cache: bool | str = False,
    ) -> None:
        self.source = tokenizer
        self.vocabulary = vocabulary
        self.max_length = max_length
        self.cache = cache_folder() / "text" if cache is True else Path(cache).expanduser() if cache else None
        self._tokenizer: Tokenizer | None = None
        self._kept: KeptTokens | None = None

    def load(self, cells: Mapping[str, Any], root: Path) -> str:
        """Text, UTF-8 bytes, or a path below ``root`` that ends in .txt; several columns make one text, a line each (`Columns`).

        Raises ``DataError`` for what isn't text, isn't UTF-8, or has no word.
        """
        parts = {column: "" if cell is None else _text(cell, column, root) for column, cell in cells.items()}
        if not any(parts.values()):
            raise DataError(f"empty text in {', '.join(_where(cell, column) for column, cell in cells.items())}")
        return Columns(parts) if len(parts) > 1 else next(iter(parts.values()))

    def fit(self, cells: Iterable[Mapping[str, Any]], root: Path = Path()) -> None:
        """Load the tokenizer that was given, or train one on every text that can be read.

        Raises ``ConfigError`` for a tokenizer that can't be had, ``DataError`` where there is no text.
        """
        texts = _Texts(self, cells, root)
        tokenizer = load(self.source) if self.source is not None else train(texts, self.vocabulary)
        if self.source is None and not texts.count:
            raise DataError(f"there is no text to train a tokenizer on: {texts.reason or 'every cell is blank'}")
        self._tokenizer = fixed(tokenizer, self.max_length)
        if self.cache is not None:
            self._kept = KeptTokens.make(self.cache, self._tokenizer, texts.with_columns, self.max_length)

    def state_dict(self) -> dict[str, Any]:
        """``{"tokenizer": its JSON}``, and under ``tokens`` what the kept ones are called."""
        return {"tokenizer": self._fitted().to_str(), **({"tokens": self._kept.folder.name} if self._kept else {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave. Raises ``CheckpointError``."""
        try:
            self._tokenizer = fixed(Tokenizer.from_str(state["tokenizer"]), self.max_length)
        except Exception as error:  # the library raises nothing narrower
            raise CheckpointError(f"the run's tokenizer can't be read: {error}") from error
        name = str(state.get("tokens", ""))
        kept = KeptTokens(self.cache / name) if self.cache and re.fullmatch("[0-9a-f]{32}", name) else None
        self._kept = kept if kept and kept.there else None

    def facts(self) -> dict[str, Any]:
        """``vocabulary``: the largest id plus 1; ``pad``: the id that fills rows; ``max_length``; ``tokenizer``: whence it is."""
        tokenizer = self._fitted()
        return {
            "vocabulary": max(tokenizer.get_vocab().values()) + 1,
            "pad": pad_of(tokenizer),
            "max_length": self.max_length,
            "tokenizer": self.source or TRAINED,
        }

    def collate(self, items: Sequence[str | Marked]) -> dict[str, Any]:
        """``ids`` int64 and ``mask`` bool, both (n, ``max_length``), filled up on the right.

        Beside them ``cut`` where some is to be cut off, and ``masked``, the places and what stood there, where tokens are masked.

        All batches have one width, so that all views of a batch go through an encoder together, as BatchNorm in a head would
        have it; our encoders leave out the columns that nobody needs.
        """
        texts = [item.text if isinstance(item, Marked) else item for item in items]
        found = self._tokens(texts)
        ids = np.full((len(items), self.max_length), pad_of(self._fitted()), dtype=np.int64)
        for row, tokens in enumerate(found):
            ids[row, : len(tokens)] = np.where(tokens < 0, ~tokens, tokens)
        # A text of which a given tokenizer knows nothing is one token, the pad.
        mask = torch.arange(self.max_length) < torch.tensor([max(1, len(tokens)) for tokens in found])[:, None]
        marks = [item if isinstance(item, Marked) else Marked(item, 0) for item in items]
        places = [np.flatnonzero(tokens >= 0) for tokens in found]
        for row, mark in enumerate(marks):
            if mark.shuffled:
                ids[row, places[row]] = ids[row, np.random.default_rng(mark.seed).permutation(places[row])]
        batch: dict[str, Any] = {"ids": torch.from_numpy(ids), "mask": mask}
        if any(mark.masked for mark in marks):
            batch["masked"] = self._mask(ids, places, marks)
        if any(mark.tokens or mark.features for mark in marks):
            batch["cut"] = cutoff.collated(
                [m.seed for m in marks], [m.tokens for m in marks], [m.features for m in marks]
            )
        return batch

    def _mask(
        self, ids: NDArray[np.int64], places: Sequence[NDArray[np.int64]], marks: Sequence[Marked]
    ) -> dict[str, Any]:
        """Mask tokens of ``ids`` (n, L), in place."""
        tokenizer, whole = self._fitted(), ids.copy()
        mask, vocabulary = masking.mask_of(tokenizer), self.facts()["vocabulary"]
        hidden = [
            masking.hide(ids[row], places[row], mark.masked, mark.seed, mask, vocabulary)
            for row, mark in enumerate(marks)
        ]
        return masking.collated([(at, whole[row, at]) for row, at in enumerate(hidden)])

    def lengths(self, items: Sequence[str]) -> list[int]:
        """How many tokens each text has, at most ``max_length``."""
        return [len(tokens) for tokens in self._tokens(items)]

    def preview(self, data: str | Marked) -> dict[str, str]:
        """``text/plain``: the text itself."""
        return {"text/plain": str(data)}

    def suggest(self, columns: Mapping[str, Sequence[Any]], root: Path, small: bool) -> Suggestion | None:
        """The columns that hold free text, SimCSE's view of it, and a transformer sized for the machine."""
        return suggest(columns, self.extensions, small)

    def _tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text: those that are kept, and else by the tokenizer."""
        found = self._kept.find(texts) if self._kept else [None] * len(texts)
        new = [text for text, tokens in zip(texts, found, strict=True) if tokens is None]
        made = iter(tokenised(self._fitted(), new, self.max_length) if new else ())
        return [next(made) if tokens is None else tokens for tokens in found]

    def _fitted(self) -> Tokenizer:
        if self._tokenizer is None:
            if self.source is None:
                raise ConfigError("text has no tokenizer yet: fit it on texts, or give one (tokenizer)")
            self._tokenizer = fixed(load(self.source), self.max_length)
        return self._tokenizer


class _Texts:
    """The texts that can be read, how many there were, and why the first of the others couldn't."""

    def __init__(self, modality: Text, cells: Iterable[Mapping[str, Any]], root: Path) -> None:
        self.modality, self.cells, self.root = modality, cells, root
        self.count, self.reason = 0, ""

    def __iter__(self) -> Iterator[str]:
        for cells in self.cells:
            try:
                text = self.modality.load(cells, self.root)
            except DataError as error:
                self.reason = self.reason or str(error)
                continue
            self.count += 1
            yield text

    @property
    def with_columns(self) -> _WithColumns:
        """Each text, and each of its columns as a text, as views may show either."""
        return _WithColumns(self)


@dataclass(frozen=True)
class _WithColumns:
    texts: _Texts

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            yield text
            if isinstance(text, Columns):
                yield from filter(None, text.columns.values())


def _where(cell: Any, column: str) -> str:
    """What a message calls a cell: its file, or the file that it was, or else its column."""
    return cell if _is_file(cell) else getattr(cell, "name", column)


def _is_file(cell: Any) -> bool:
    short = isinstance(cell, str) and len(cell) <= _LONGEST_PATH
    return short and "\n" not in cell and cell.lower().endswith(Text.extensions)


def _text(cell: Any, column: str, root: Path) -> str:
    where = _where(cell, column)
    found = read_bytes(cell, root) if _is_file(cell) else cell
    try:
        if isinstance(found, bytes):
            return found.decode("utf-8").removeprefix("\ufeff").strip()
        if isinstance(found, str):
            found.encode("utf-8")  # half a surrogate pair, as cut JSON gives it, is no character
            return found.strip()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        unit = "byte" if isinstance(found, bytes) else "character"
        raise DataError(f"{where}: not UTF-8 at {unit} {error.start}; save it as UTF-8") from None
    raise DataError(f"{where}: {found!r:.40} is no text but a {type(found).__name__}")
