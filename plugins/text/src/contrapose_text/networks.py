"""What is asked of a network of transformers before it is trained: what it takes, what of it is left out, and whether it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from contrapose.config.json import parse
from contrapose.data.failure import one_line
from contrapose.errors import ConfigError, did_you_mean, warn
from contrapose_text import hub
from contrapose_text.pooling import LAYERS, Pooling

LONG, SHORT = 8, 3
"""Tokens of the two texts that a network is tried on. An odd number tells of a network that fills texts up inside."""

TOLERATED = 1e-3
"""How much the other texts of a batch may change an embedding, as a share of its length, before a person is told."""

_NOT_DROPOUT = ("classif", "layer", "path")
"""In names of what drops whole layers, or is for a classifier that we don't have."""


def config_of(said: dict[str, Any] | str) -> Any:
    """transformers' config of a mapping or a path. Raises ``ConfigError``."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if isinstance(said, str):
        path = Path(said).expanduser()
        file = path / "config.json" if path.is_dir() else path
        try:
            said = parse(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file} can't be read as a config.json: {one_line(error)}", ("config",)) from error
        if not isinstance(said, dict):
            raise ConfigError(f"{file} holds no mapping", ("config",))
    arguments = dict(said)
    kind = arguments.pop("model_type", None)
    if kind not in CONFIG_MAPPING:
        raise ConfigError(
            f"transformers knows no model_type {kind!r}{did_you_mean(str(kind), [*CONFIG_MAPPING])}", ("config",)
        )
    try:
        return CONFIG_MAPPING[kind](**arguments)
    except Exception as error:  # of the types of its values, in its own way
        raise ConfigError(f"transformers can't read it as a {kind}: {one_line(error)}", ("config",)) from error


def encoder_alone(net: Any, name: str, argument: str) -> None:
    """Leave out BERT's pooler, which would have no gradient and often no weights. Raises ``ConfigError`` for a decoder too.

    A few networks (SqueezeBERT, LayoutLM) can't run without theirs; it stays, and isn't trained.
    """
    if net.config.is_encoder_decoder:
        raise ConfigError(f"{name} is an encoder with a decoder; encoders alone are supported", (argument,))
    if getattr(net, "pooler", None) is not None and "add_pooling_layer" in inspect.signature(type(net)).parameters:
        net.pooler = None


def rest(net: Any) -> None:
    """Train no pooler that stayed, nor what LoRA put into it: nothing reads it, so it would get no gradient."""
    if isinstance(pooler := getattr(net, "pooler", None), nn.Module):
        pooler.requires_grad_(False)


def longest(net: Any) -> int | None:
    """Most tokens that a network has positions for, None where any number will do. RoBERTa's kin begin to count after the pad."""
    positions: int | None = getattr(net.config, "max_position_embeddings", None)
    if positions is None or positions < 1:  # XLNet says -1
        return None
    learnt = getattr(getattr(net, "embeddings", None), "position_embeddings", None)
    before = getattr(learnt, "padding_idx", None)
    return positions if before is None else positions - before - 1


def known(net: Any) -> int | None:
    """How many tokens a network knows, None where it doesn't say."""
    try:
        words = getattr(net.get_input_embeddings(), "num_embeddings", None)
    except NotImplementedError:  # CANINE hashes characters
        words = None
    return words or getattr(net.config, "vocab_size", None)


def layer(net: Any, pooling: Pooling) -> nn.Module:
    """The layer that ``pooling`` averages with the last. Raises ``ConfigError`` where it can't be told which that is."""
    count = getattr(net.config, "num_hidden_layers", None)
    lists = {
        name: module
        for name, module in net.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    }
    # A layer may hold as many parts as there are layers; XLM has a list of attentions beside one of what follows them.
    outer = [module for name, module in lists.items() if not any(name.startswith(f"{other}.") for other in lists)]
    if len(outer) != 1:
        raise ConfigError(f"the layers of {type(net).__name__} can't be told apart; choose mean", ("pooling",))
    if len(outer[0]) < -LAYERS[pooling]:
        raise ConfigError(f"{pooling} needs two layers, and the network has one", ("pooling",))
    return outer[0][LAYERS[pooling]]


def drop(config: Any, rate: float, name: str) -> None:
    """Set every dropout of a ``config`` to ``rate``. Raises ``ConfigError`` where it has none."""
    found = [
        key
        for key, value in config.to_dict().items()
        if "drop" in key and type(value) in (int, float) and not any(part in key for part in _NOT_DROPOUT)
    ]
    if not found:
        raise ConfigError(f"{name} is a {config.model_type}, which has no dropout: set this to null", ("dropout",))
    for key in found:
        setattr(config, key, rate)


def probe(net: Any, run: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], width: int, argument: str) -> None:
    """Try ``run``, which gives pooled (n, D) and last states (n, L, D) of ``net``, on two texts together, and on the shorter alone.

    Raises ``ConfigError`` in one line under ``argument`` where it fails, and warns where the shorter one's embedding differs. What
    ``net`` does afterwards is the same as without.
    """
    where = net.device
    if where.type == "meta":
        return
    kind, training, most = type(net).__name__, net.training, longest(net) or LONG
    long, short = min(LONG, most), min(SHORT, most)
    words = known(net) or 2 * LONG
    pad: int | None = getattr(net.config, "pad_token_id", None)
    ids = (words // 2 + torch.arange(2 * long, device=where).view(2, long)) % words  # the first are mostly marks
    if pad is not None:
        ids[ids == pad] = (words // 2 - 1) % words
    mask = torch.arange(long, device=where) < torch.tensor([[long], [short]], device=where)
    ids[~mask] = pad if pad is not None and 0 <= pad < words else 0
    try:
        devices = [where] if where.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad(), hub.quiet():
            net.eval()
            together, states = run(ids, mask)
            alone, few = run(ids[1:, :short], mask[1:, :short])
    except ConfigError:
        raise
    except Exception as error:  # of a network that is no encoder of texts, or of sizes that don't fit, in its own way
        raise ConfigError(f"transformers' {kind} can't be run on texts: {one_line(error)}", (argument,)) from error
    finally:
        net.train(training)
    if states.shape != (2, long, width) or few.shape != (1, short, width):
        made = f"{tuple(few.shape)} for a text of {short} tokens, not {(1, short, width)}"
        raise ConfigError(f"transformers' {kind} can't be run on texts: it gives states {made}", (argument,))
    if (together[1] - alone[0]).norm() > TOLERATED * alone[0].norm():
        warn(f"embeddings of a {kind} depend on the other texts of a batch, since it doesn't mask what fills them up")
