"""Encoders of texts: ``ids`` and ``mask`` (n, L), as the modality collates them, to ``pooled`` (n, D).

transformers is imported when an encoder is made, since that takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from contrapose.errors import ConfigError
from contrapose.types import tree_take
from contrapose_text import hub
from contrapose_text.cutoff import cutoff
from contrapose_text.pooling import Pooling, by_length, pool
from contrapose_text.tokenizer import TRAINED

Count = Annotated[int, Field(ge=1)]
Id = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class _Pooled(nn.Module):
    """A transformer and a pooling. Rows run in groups of like length: what fills them up would change nothing but the time."""

    modality = "text"

    def __init__(self, net: nn.Module, pooling: Pooling) -> None:
        super().__init__()
        self.net = net
        self.pooling: Pooling = pooling
        config: Any = net.config
        self.dims: Mapping[str, int] = {"pooled": config.hidden_size}
        if pooling == "first-last":
            _first_layer(net)

    def forward(self, data: Mapping[str, Any]) -> dict[str, Tensor]:
        """``ids`` int64 and ``mask`` bool (n, L), true where there is a token, and perhaps ``cut``, to ``pooled`` (n, D)."""
        ids, mask, cut = data["ids"], data["mask"], data.get("cut")
        if not len(ids):  # transformers take no empty batch; a row that is thrown away leaves each parameter a gradient
            return {"pooled": self._pooled(ids.new_zeros(1, 1), mask.new_ones(1, 1))[:0]}
        groups = by_length(mask)
        pooled = []
        for rows, columns in groups:
            seen = mask[rows, :columns]
            with cutoff(self.net, seen, tree_take(cut, rows)):
                pooled.append(self._pooled(ids[rows, :columns], seen))
        return {"pooled": torch.cat(pooled)[torch.cat([rows for rows, _ in groups]).argsort()]}

    def _pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        if self.pooling != "first-last":
            return pool(self._last(ids, mask), mask, self.pooling)
        # output_hidden_states would leave hooks in the transformer that can't be pickled.
        first: list[Any] = []
        handle = _first_layer(self.net).register_forward_hook(lambda layer, inputs, output: first.append(output))
        with handle:
            last = self._last(ids, mask)
        return pool(last, mask, self.pooling, first[0][0] if isinstance(first[0], tuple) else first[0])

    def _last(self, ids: Tensor, mask: Tensor) -> Tensor:
        last: Tensor = self.net(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return last


class Transformer(_Pooled):
    """A BERT (Devlin et al., 2019) with random weights; the sizes of BERT-mini (Turc et al., 2019) unless said otherwise.

    ``pooled`` is ``width`` wide. On a CPU, 2 layers 128 wide (BERT-tiny) do for short texts.

    Args:
        vocabulary: number of tokens; the modality says it.
        pad: the token that fills rows; the modality says it.
        max_length: most tokens of a text; the modality says it.
        layers: number of layers.
        width: of the hidden states; the layers' inner width is four times that.
        heads: of the attention, which share the width.
        dropout: everywhere that BERT has it, attention included; what tells SimCSE's views apart.
        pooling: "mean" or "max" over the last layer's tokens, its first token ("cls"), or the mean of the first and the last
            layer ("first-last").
    """

    def __init__(
        self,
        vocabulary: Count,
        pad: Id = 0,
        max_length: Count = 64,
        layers: Count = 4,
        width: Count = 256,
        heads: Count = 4,
        dropout: Rate = 0.1,
        pooling: Pooling = "mean",
    ) -> None:
        from transformers import AutoModel, BertConfig

        if width % heads:
            raise ConfigError(f"a width of {width} can't be shared among {heads} heads", ("heads",))
        config = BertConfig(
            vocab_size=vocabulary,
            pad_token_id=pad,
            max_position_embeddings=max_length,
            type_vocab_size=1,
            num_hidden_layers=layers,
            hidden_size=width,
            intermediate_size=4 * width,
            num_attention_heads=heads,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        # BERT's own pooler would get no gradient; that of eager attention is the same each time, on CUDA too.
        super().__init__(AutoModel.from_config(config, attn_implementation="eager", add_pooling_layer=False), pooling)


class Pretrained(_Pooled):
    """A pretrained transformer (BERT, RoBERTa, MPNet, a sentence transformer, ...) in float32, to be trained on or frozen.

    Its tokenizer must be the text's: ``modalities: {text: {columns: ..., tokenizer: PATH}}``. Safetensors are read, or torch
    files without running code; a model that brings code of its own is refused.

    Args:
        path: a folder that transformers saved, or a name on the Hugging Face hub where the machine is online.
        pooling: "mean" or "max" over the last layer's tokens, its first token ("cls"), or the mean of the first and the last
            layer ("first-last"). SimCSE's models take "cls", most sentence transformers "mean".
        vocabulary: number of the tokenizer's tokens; the modality says it.
        max_length: most tokens of a text; the modality says it.
        tokenizer: where the tokenizer is from; the modality says it.
    """

    def __init__(
        self,
        path: str,
        pooling: Pooling = "mean",
        vocabulary: int | None = None,
        max_length: int | None = None,
        tokenizer: str | None = None,
    ) -> None:
        from transformers import AutoModel

        if tokenizer == TRAINED:
            raise ConfigError(
                "a pretrained encoder knows the words of its own tokenizer alone: "
                f"give modalities.text the argument tokenizer: {path}",
                ("path",),
            )
        net, report = hub.load(AutoModel.from_pretrained, path, "path", output_loading_info=True, dtype=torch.float32)
        if net.config.is_encoder_decoder:
            raise ConfigError(f"{path} is an encoder with a decoder; encoders alone are supported", ("path",))
        if getattr(net, "pooler", None) is not None:
            net.pooler = None  # without a gradient otherwise, and often without weights
        if absent := sorted(name for name in report["missing_keys"] if not name.startswith("pooler.")):
            raise ConfigError(f"{path} lacks weights of its model: {', '.join(absent[:3])}, ...", ("path",))
        known, longest = net.get_input_embeddings().num_embeddings, getattr(net.config, "max_position_embeddings", None)
        if vocabulary is not None and vocabulary > known:
            raise ConfigError(
                f"the tokenizer has {vocabulary} tokens, but {path} knows {known}: "
                f"give modalities.text the argument tokenizer: {path}",
                ("path",),
            )
        if max_length is not None and longest is not None and max_length > longest:
            raise ConfigError(f"{path} takes {longest} tokens; set modalities.text.max_length to that", ("path",))
        super().__init__(net.train(), pooling)


def _first_layer(net: Any) -> nn.Module:
    for module in net.modules():
        if isinstance(module, nn.ModuleList) and len(module) == net.config.num_hidden_layers:
            return module[0]
    raise ConfigError(f"the layers of {type(net).__name__} can't be told apart; choose mean", ("pooling",))
