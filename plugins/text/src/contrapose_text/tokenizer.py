"""Tokenizers: trained on a corpus, or loaded. Both are Hugging Face's ``Tokenizer``, which is JSON from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from contrapose.errors import ConfigError
from contrapose_text import hub

PAD, CLS = "[PAD]", "[CLS]"
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
SMALLEST = len(ALPHABET) + 2
"""No vocabulary is smaller: every byte, and the two marks."""

UNBROKEN = re.compile(r"\S{256}(?=\S)")
"""Training takes the square of a word's length: a megabyte without a space would never end."""

TRAINED = "trained"
"""Whence a tokenizer is that was trained on the corpus, where another would have its path or name."""


def train(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE of at most ``vocabulary`` tokens, lower-cased, that begins each text with ``[CLS]``; ``[PAD]`` is 0.

    Byte-level (Radford et al., 2019), as it has a token for every byte: no text is unknown, whatever its script. Pairs that
    occur once aren't merged, so that rare words are made of pieces that others share, and words never seen are too.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)  # a word is the same wherever it stands
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[PAD, CLS],
        initial_alphabet=ALPHABET,
        show_progress=False,
    )
    tokenizer.train_from_iterator((UNBROKEN.sub(r"\g<0> ", text) for text in texts), trainer)
    cls = (CLS, tokenizer.token_to_id(CLS))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{CLS} $A", special_tokens=[cls])
    return _padded(tokenizer, PAD)


def load(where: str) -> Tokenizer:
    """A ``tokenizer.json``, a folder that transformers saved a tokenizer or a model to, or a name on the Hugging Face hub.

    Raises ``ConfigError`` in one line for what isn't there, can't be read, or can't be fetched.
    """
    path = Path(where).expanduser()
    if path.is_file() or path.suffix == ".json":
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            reason = str(error) if path.is_file() else "no such file"
            raise ConfigError(f"{path} can't be read as a tokenizer.json: {reason}", ("tokenizer",)) from error
        return _padded(tokenizer, (tokenizer.padding or {}).get("pad_token"))
    from transformers import AutoTokenizer  # takes seconds

    found = hub.load(AutoTokenizer.from_pretrained, where, "tokenizer")
    if not hasattr(found, "backend_tokenizer"):
        raise ConfigError(f"{where} holds no fast tokenizer; save it with a tokenizer.json", ("tokenizer",))
    return _padded(Tokenizer.from_str(found.backend_tokenizer.to_str()), found.pad_token)


def fixed(tokenizer: Tokenizer, length: int) -> Tokenizer:
    """``tokenizer``, cutting and filling up every text to ``length`` tokens, on the right, with its own pad."""
    tokenizer.enable_padding(length=length, pad_id=pad_of(tokenizer))
    tokenizer.enable_truncation(length)
    return tokenizer


def pad_of(tokenizer: Tokenizer) -> int:
    """The id that fills rows."""
    return int((tokenizer.padding or {}).get("pad_id", 0))


def _padded(tokenizer: Tokenizer, pad: str | None) -> Tokenizer:
    """``tokenizer`` with its padding set to the token ``pad``, one of a usual name, or the first, as it is masked anyway."""
    ids = [tokenizer.token_to_id(name) for name in (pad, PAD, "<pad>") if name is not None]
    tokenizer.enable_padding(pad_id=next((i for i in ids if i is not None), 0))
    return tokenizer
