"""A text as the mean of its tokens' vectors: no order, no layers, and hundreds of texts a millisecond on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from contrapose.errors import ConfigError

Count = Annotated[int, Field(ge=1)]


class Bag(nn.Module):
    """The mean of the tokens' vectors, as in fastText (Joulin et al., 2017) and Sentence-BERT's baseline of averaged GloVe.

    Before one trains something larger, this is what to beat. It has no dropout, so ``text/dropout`` shows it the same twice.

    Args:
        vocabulary: number of tokens; the modality says it.
        width: of the vectors.
    """

    modality = "text"

    def __init__(self, vocabulary: Count, width: Count = 256) -> None:
        super().__init__()
        self.vectors = nn.EmbeddingBag(vocabulary, width, mode="mean")
        nn.init.normal_(self.vectors.weight, std=width**-0.5)  # vectors of length 1
        self.dims: Mapping[str, int] = {"pooled": width}

    def forward(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``ids`` int64 and ``mask`` bool (n, L), true where there is a token, to ``pooled`` (n, D).

        Raises ``ConfigError`` for views of ``text/cutoff``.
        """
        if "cut" in data:
            raise ConfigError("text/bag cuts nothing off its tokens: leave text/cutoff out, or take text/transformer")
        mask = data["mask"]
        count = mask.sum(dim=1)
        return {"pooled": self.vectors(data["ids"][mask], count.cumsum(0) - count)}
