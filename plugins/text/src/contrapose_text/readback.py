"""Whether transformers reads a folder back as what the run has: of some models it makes another tokenizer, or sees other layers.

sentence-transformers reads by transformers, so what is told here holds of it too, and it need not be installed.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrapose.data.failure import one_line
from contrapose.errors import ConfigError
from contrapose_text import hub
from contrapose_text.encoders import Pooled
from contrapose_text.pooling import LAYERS, pool

PROBES = (
    "Bed",
    "a corner SOFA, with an Ottoman (grey) & 2 cushions",
    "größer, Ångström, naïve café; 椅子, стул, καρέκλα, كرسي, 의자, कुर्सी 🪑",
    "1234567890, 3.14 or 20 %, e.g. 12-34_56/78",
    "!!! wow!!!  ...  ---- 'don't' \"it's\" we'll?? #@$^*<>[]{}|\\~`",
    "  spaces   before,\tbetween\nand after  ",
    "[CLS] [MASK] <s> </s> <|endoftext|>",
)
"""What tokenizers differ in: case, accents, scripts, digits, punctuation, spaces, marks. None is so long that it is cut unread."""

TOLERANCE = 1e-4
"""Of an embedding's length. Other kernels and other rows beside it make some 1e-6; a model that isn't the same, 1e-3 and more."""


def require_same(where: Path, encoder: Pooled, modality: Any, layers: tuple[int, Tensor] | None) -> None:
    """Raise ``ConfigError`` where the transformer in ``where`` gives other tokens or pooled embeddings than the run.

    Args:
        where: a folder that transformers saved a model and a tokenizer to.
        encoder: the run's, in eval mode.
        modality: the run's, which collates what the encoder reads.
        layers: the first hidden state that is averaged and the weights from there on, where the pooling averages layers.
    """
    config: Any = encoder.net.config
    kind = config.model_type
    way = "nothing is written; embed by contrapose embed, or train another model"
    texts = [*PROBES, "one word after another " * modality.max_length]
    own = modality.collate(texts)
    if any(p.device.type != "cpu" for p in encoder.parameters()):  # others round in their own ways
        encoder = copy.deepcopy(encoder).cpu()
    with hub.quiet(), torch.no_grad():
        try:
            tokenizer, net = _read(where, modality.max_length)
            found = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        except Exception as error:  # a dozen kinds, as transformers reads each model in its own way
            raise ConfigError(
                f"transformers can't read back what it wrote of {kind}, nor could sentence-transformers "
                f"({one_line(error)}): {way}"
            ) from error
        ids, mask = found["input_ids"], found["attention_mask"].bool()
        known = mask.any(dim=1) | (own["mask"].sum(dim=1) > 1)  # one of no token has no embedding there, as is told
        for row in range(len(texts)):
            if bool(known[row]) and not torch.equal(ids[row, mask[row]], own["ids"][row, own["mask"][row]]):
                raise ConfigError(
                    f"transformers reads the tokenizer of {kind} back as {type(tokenizer).__name__}, which splits texts "
                    f"otherwise, so sentence-transformers would too: {way}"
                )
        if not known.any():
            return
        try:
            theirs = _pooled(net, ids[known], mask[known], encoder.pooling, layers)
            ours = encoder({"ids": own["ids"][known], "mask": own["mask"][known]})["pooled"]
        except Exception as error:
            raise ConfigError(
                f"{kind} fails on short texts or in a padded batch, so it would in sentence-transformers "
                f"({one_line(error)}): {way}"
            ) from error
    apart = (theirs - ours).norm(dim=1) / ours.norm(dim=1).clamp(min=1e-12)
    apart = apart[ours.isfinite().all(dim=1)]  # a run that diverged is told elsewhere
    if not bool((apart <= TOLERANCE).all()):
        raise ConfigError(
            f"{kind} with pooling {encoder.pooling} gives other embeddings as transformers reads it and fills up its batches, "
            f"so sentence-transformers would too: {way}, or with another pooling"
        )


def _read(where: Path, length: int) -> tuple[Any, Any]:
    """The tokenizer and the model, as sentence-transformers asks for them."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(where), local_files_only=True, model_max_length=length)
    return tokenizer, AutoModel.from_pretrained(str(where), local_files_only=True).eval()


def _pooled(net: Any, ids: Tensor, mask: Tensor, pooling: Any, layers: tuple[int, Tensor] | None) -> Tensor:
    """The embeddings (n, D) as the modules say that follow the transformer: WeightedLayerPooling where it averages, Pooling."""
    found = net(input_ids=ids, attention_mask=mask.long())
    states: Tensor = found.last_hidden_state
    if layers is not None and getattr(found, "hidden_states", None) is not None:
        start, weights = layers
        states = (torch.stack(found.hidden_states)[start:] * weights[:, None, None, None]).sum(dim=0) / weights.sum()
    if pooling == "cls":
        return states[torch.arange(len(states)), mask.int().argmax(dim=1)]
    return pool(states, mask, "mean" if pooling in LAYERS else pooling)
