"""The loss of masked language modelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from contrapose.errors import ConfigError
from contrapose.losses.head import HeadLoss, Step
from contrapose.types import Batch, Rows, ident
from contrapose_text.masking import NONE

Count = Annotated[int, Field(ge=1)]


class MaskedTokens(HeadLoss):
    """Predict each masked token from its state: cross-entropy over the vocabulary, the mean over a batch's masked tokens.

    The head is BERT's (Devlin et al., 2019, section 3.1; its code's get_masked_lm_output): a linear layer, GELU, LayerNorm, and a
    linear layer to the vocabulary, whose weights are its own, where BERT's are the embeddings'. The query is a table of masked
    tokens' states (``tap: masked`` of an encoder of texts), of views that ``text/mask`` or ``text/spans`` makes.

    Args:
        vocabulary: number of tokens; the modality says it.
    """

    def __init__(self, vocabulary: Count) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def setup(self, query: str, dim: int) -> None:
        """See the base class."""
        self.query = query
        self.layers = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim), nn.Linear(dim, self.vocabulary))

    def forward(self, out: Step, batch: Batch) -> Tensor:
        """See the base class. Raises ``ConfigError`` where the batch has texts, and none of its views masks."""
        rows = out.rows(self.query)
        token = _tokens(batch, rows)
        masked = token != NONE
        errors = F.cross_entropy(self.layers(rows.z[masked]), token[masked], reduction="none")
        return out.mean(errors, torch.ones_like(errors))


def _tokens(batch: Batch, rows: Rows) -> Tensor:
    """What each row's token was before it was masked, (n,) int64; ``NONE`` where the row stands for no token."""
    token = torch.full((len(rows),), NONE, device=rows.z.device)
    texts = {n: v for n, v in batch.views.items() if len(v) and isinstance(v.data, Mapping)}
    masking = {n: v for n, v in texts.items() if "masked" in v.data}
    if texts and not masking:
        raise ConfigError("no view masks tokens: make one by text/mask, or give text/spans a rate for mask")
    for name, view in masking.items():
        mine = (rows.meta["view"] == ident(name)).nonzero().flatten()
        sample, order = batch.sample[view.index].sort()
        row = order[torch.searchsorted(sample, rows.meta["sample"][mine])]
        token[mine] = view.data["masked"]["token"][row, rows.meta["position"][mine]]
    return token
