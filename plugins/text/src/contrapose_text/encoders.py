"""Encoders of texts: ``ids`` and ``mask`` (n, L), as the modality collates them, to ``pooled`` (n, D).

transformers is imported when an encoder is made, since that takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from contrapose.data.failure import one_line
from contrapose.errors import ConfigError
from contrapose.types import tree_take
from contrapose_text import hub, networks
from contrapose_text.cutoff import cutoff
from contrapose_text.lora import Lora, attach
from contrapose_text.masking import states_at
from contrapose_text.pooling import LAYERS, Pooling, by_length, pool
from contrapose_text.tokenizer import TRAINED

Count = Annotated[int, Field(ge=1)]
Id = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class Pooled(nn.Module):
    """A transformer and a pooling. Rows run in groups of like length: what fills them up would change nothing but the time."""

    modality = "text"

    def __init__(self, net: nn.Module, pooling: Pooling, argument: str = "config") -> None:
        """Raises ``ConfigError``, under ``argument`` or the pooling, for a network that can't be run as it is here."""
        super().__init__()
        self.net = net
        self.pooling: Pooling = pooling
        config: Any = net.config
        width = getattr(config, "hidden_size", None)
        if width is None:
            raise ConfigError(f"a {config.model_type} has no hidden_size: it is no encoder of texts alone", (argument,))
        self.dims: Mapping[str, int] = dict.fromkeys(("pooled", "masked"), width)
        if pooling in LAYERS:
            networks.layer(net, pooling)
        networks.rest(net)
        networks.probe(net, self._run, width, argument)

    def forward(self, data: Mapping[str, Any]) -> dict[str, Tensor]:
        """``ids`` int64 and ``mask`` bool (n, L), true where there is a token, and perhaps ``cut`` and ``masked``, to two taps.

        ``pooled`` (n, D), and ``masked`` (n, P, D), the last states of the tokens that are masked.
        """
        ids, mask, cut, masked = data["ids"], data["mask"], data.get("cut"), data.get("masked")
        if not len(ids):  # transformers take no empty batch; a row that is thrown away leaves each parameter a gradient
            pooled, states = self._run(ids.new_zeros(1, 1), mask.new_ones(1, 1))
            return {"pooled": pooled[:0], "masked": states[:0]}
        groups = by_length(mask)
        made = []
        for rows, columns in groups:
            seen = mask[rows, :columns]
            with cutoff(self.net, seen, tree_take(cut, rows)):
                pooled, states = self._run(ids[rows, :columns], seen)
            made.append((pooled, states_at(states, tree_take(masked, rows))))
        order = torch.cat([rows for rows, _ in groups]).argsort()
        return {
            tap: torch.cat(of)[order] for tap, of in zip(("pooled", "masked"), zip(*made, strict=True), strict=True)
        }

    def _run(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled states (n, D), and the last ones (n, L, D)."""
        if self.pooling not in LAYERS:
            last = self._last(ids, mask)
            return pool(last, mask, self.pooling), last
        # output_hidden_states would leave hooks in the transformer that can't be pickled.
        other: list[Any] = []
        handle = networks.layer(self.net, self.pooling).register_forward_hook(
            lambda layer, inputs, output: other.append(output[0] if isinstance(output, tuple) else output)
        )
        with handle:
            last = self._last(ids, mask)
        # Longformer's layers fill texts up, XLNet's have the tokens first.
        if len(other) != 1 or other[0].shape != last.shape:
            raise ConfigError(
                f"the layers of {type(self.net).__name__} give no state for each token; choose mean", ("pooling",)
            )
        return pool(last, mask, self.pooling, other[0]), last

    def _last(self, ids: Tensor, mask: Tensor) -> Tensor:
        last: Tensor = self.net(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return last


class Transformer(Pooled):
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
            layer ("first-last", SimCSE's) or of the last two ("last-two", ConSERT's).
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


class Pretrained(Pooled):
    """A pretrained transformer (BERT, RoBERTa, MPNet, a sentence transformer, ...) in float32, to be trained on or frozen.

    Its tokenizer must be the text's: ``modalities: {text: {columns: ..., tokenizer: PATH}}``. Safetensors are read, or torch
    files without running code; a model that brings code of its own is refused.

    Args:
        path: a folder that transformers saved, or a name on the Hugging Face hub where the machine is online.
        pooling: "mean" or "max" over the last layer's tokens, its first token ("cls"), or the mean of the first and the last
            layer ("first-last", SimCSE's) or of the last two ("last-two", ConSERT's). SimCSE's models take "cls", most sentence
            transformers "mean".
        lora: train small matrices beside those of the network, which stay as they are: ``{rank: 8, alpha: 16}``. Needs peft.
        dropout: everywhere that the model has it, attention included, instead of what it was pretrained with.
        vocabulary: number of the tokenizer's tokens; the modality says it.
        max_length: most tokens of a text; the modality says it.
        tokenizer: where the tokenizer is from; the modality says it.
    """

    def __init__(
        self,
        path: str,
        pooling: Pooling = "mean",
        lora: Lora | None = None,
        dropout: Rate | None = None,
        vocabulary: int | None = None,
        max_length: int | None = None,
        tokenizer: str | None = None,
    ) -> None:
        from transformers import AutoConfig, AutoModel

        if tokenizer == TRAINED:
            raise ConfigError(
                "a pretrained encoder knows the words of its own tokenizer alone: "
                f"give modalities.text the argument tokenizer: {path}",
                ("path",),
            )
        options: dict[str, Any] = {"output_loading_info": True, "dtype": torch.float32}
        if dropout is not None:
            options["config"] = hub.load(AutoConfig.from_pretrained, path, "path")
            networks.drop(options["config"], dropout, path)
        net, report = hub.load(AutoModel.from_pretrained, path, "path", **options)
        networks.encoder_alone(net, path, "path")
        if absent := sorted(name for name in report["missing_keys"] if not name.startswith("pooler.")):
            raise ConfigError(f"{path} lacks weights of its model: {', '.join(absent[:3])}, ...", ("path",))
        known, longest = networks.known(net), networks.longest(net)
        if vocabulary is not None and known is not None and vocabulary > known:
            raise ConfigError(
                f"the tokenizer has {vocabulary} tokens, but {path} knows {known}: "
                f"give modalities.text the argument tokenizer: {path}",
                ("path",),
            )
        if tokenizer is not None and not hub.same_words(tokenizer, path):
            raise ConfigError(
                f"the tokenizer {tokenizer} isn't that of {path}: give modalities.text the argument tokenizer: {path}",
                ("path",),
            )
        if max_length is not None and longest is not None and max_length > longest:
            raise ConfigError(f"{path} takes {longest} tokens; set modalities.text.max_length to that", ("path",))
        if lora is not None:
            attach(net, lora)
        super().__init__(net.train(), pooling, "path")


class FromConfig(Pooled):
    """Any transformer that transformers knows, with random weights: DistilBERT, RoBERTa, MPNet, ModernBERT, ...

    The vocabulary and the pad are the tokenizer's, whatever the config says.

    Args:
        config: what its config.json would say: ``{model_type: distilbert, dim: 128, n_layers: 2, n_heads: 4, hidden_dim: 512}``,
            or the path of such a file, or of its folder.
        vocabulary: number of tokens; the modality says it.
        pad: the token that fills rows; the modality says it.
        max_length: most tokens of a text; the modality says it.
        pooling: "mean" or "max" over the last layer's tokens, its first token ("cls"), or the mean of the first and the last
            layer ("first-last", SimCSE's) or of the last two ("last-two", ConSERT's).
    """

    def __init__(
        self,
        config: dict[str, Any] | str,
        vocabulary: Count,
        pad: Id = 0,
        max_length: Count = 64,
        pooling: Pooling = "mean",
    ) -> None:
        from transformers import AutoModel

        made = networks.config_of(config)
        made.vocab_size, made.pad_token_id = vocabulary, pad
        try:
            net = AutoModel.from_config(made, attn_implementation="eager", dtype=torch.float32, trust_remote_code=False)
        except Exception as error:  # each model checks its sizes, or fails on them, in its own way
            raise ConfigError(
                f"transformers can't make a {made.model_type} of it: {one_line(error)}", ("config",)
            ) from error
        networks.encoder_alone(net, made.model_type, "config")
        longest = networks.longest(net)
        if longest is not None and max_length > longest:
            raise ConfigError(
                f"it takes {longest} tokens, but texts have up to {max_length}: raise max_position_embeddings",
                ("config",),
            )
        super().__init__(net.train(), pooling)
