"""A run's text encoder as sentence-transformers keeps one: a folder of transformers' files, and of JSON that names what follows.

Neither writing nor reading needs the other library. Its layout: https://sbert.net/docs/sentence_transformer/usage/custom_models.html
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from contrapose.branches.heads import MLP, Slice
from contrapose.data.failure import one_line
from contrapose.engine.trained import Run
from contrapose.errors import ConfigError, DataError, warn
from contrapose_text import hub, readback
from contrapose_text.encoders import Pooled
from contrapose_text.heads import Pooler
from contrapose_text.lora import merged
from contrapose_text.pooling import LAYERS
from contrapose_text.tokenizer import CLS, PAD, pad_of

ACTIVATIONS = {
    nn.Identity: "torch.nn.modules.linear.Identity",
    nn.ReLU: "torch.nn.modules.activation.ReLU",
    nn.GELU: "torch.nn.modules.activation.GELU",
    nn.Tanh: "torch.nn.modules.activation.Tanh",
}
UNKNOWN = ("\u200b", "\u0301", "🪑")
"""Texts of which some tokenizers make no token: a space of no width, an accent of no letter, a letter of no alphabet."""


def to_sentence_transformers(
    run: Run, folder: str | Path, head: str = "pooled", encoder: str | None = None, normalize: bool = False
) -> int:
    """Write what ``SentenceTransformer(folder)`` loads; its ``encode`` gives what ``run.embed(..., head=head)`` gives of a text.

    By default that is ``pooled``, as in ``contrapose embed``; ``run.embed`` needs it said, as its own default is ``projected``.
    LoRA's matrices are merged into the weights; a projector's BatchNorms into its linear layers. A tokenizer without a pad gets
    ``[PAD]``, which stands for no word then where a text has it. What was written is read back by transformers and compared with
    the run on texts of ours.

    Args:
        run: a trained run.
        folder: a new folder, or an empty one.
        head: ``pooled``, the encoder's own features, or ``projected``, the space of the loss, whose projector follows as layers.
        encoder: its name in the config, where the run has several transformers of texts.
        normalize: give embeddings of length 1.

    Returns:
        The width of the embeddings.

    Raises:
        ConfigError: the run has no such encoder, or one that the layout has no words for (``text/bag``, a head of one's own), or
            that transformers reads back as another. The folder is then as it was.
        DataError: the folder holds something, or can't be written.
    """
    name, found = _encoder(run, encoder)
    if _changes(run.config.run.evaluate.views.get(name, "text/eval")):
        warn(f"evaluate.views changes {name}, and what is written doesn't: change texts so before encode")
    layers = _layers(run, name) if head == "projected" else []
    where = Path(folder)
    modality: Any = run.parts.modalities[name if name in run.parts.modalities else "text"]
    try:
        if where.exists() and (not where.is_dir() or any(where.iterdir())):
            raise DataError(f"{where} is there already; export to a new folder")
        with _whole(where), torch.random.fork_rng(devices=[]):
            averaged = _write(where, found, _tokenizer(modality), layers, normalize)
            readback.require_same(where, found, modality, averaged)
    except OSError as error:
        raise DataError(f"can't write to {where}: {error}") from error
    return int(layers[-1][0].shape[0] if layers else found.dims["pooled"])


def _changes(view: Any) -> bool:
    """Whether a view, or one of several in a row, gives another text than it was given."""
    if isinstance(view, list):
        return any(_changes(one) for one in view)
    if isinstance(view, dict) and set(view) == {"use"}:
        return _changes(view["use"])
    return view not in ("text/eval", "text/dropout")


@contextlib.contextmanager
def _whole(where: Path) -> Iterator[None]:
    """A folder to fill; where that fails, it is again as it was, empty or not there."""
    absent = [folder for folder in (where, *where.parents) if not folder.exists()]
    try:
        where.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for inner in where.iterdir() if where.is_dir() else ():
            shutil.rmtree(inner) if inner.is_dir() else inner.unlink()
        with contextlib.suppress(OSError):
            for folder in absent:
                folder.rmdir()
        raise


def _write(
    where: Path, encoder: Pooled, tokenizer: Any, layers: list[tuple[Tensor, Tensor, str]], normalize: bool
) -> tuple[int, Tensor] | None:
    """Write all, and give the first hidden state that is averaged and the weights from there on, where layers are."""
    net: Any = merged(encoder.net).cpu()
    if tokenizer.pad_token_id >= getattr(net.config, "vocab_size", 0):
        _make_room(net, tokenizer.pad_token_id + 1)
    width, averaged = encoder.dims["pooled"], None
    if encoder.pooling in LAYERS:
        net.config.output_hidden_states = True
        count = net.config.num_hidden_layers
        start = LAYERS[encoder.pooling] % count + 1  # hidden state 0 is what goes into the first layer
        weights = torch.zeros(count + 1 - start)
        weights[[0, -1]] = 1.0
        averaged = (start, weights)
    with hub.quiet():
        net.save_pretrained(where)
        tokenizer.save_pretrained(where)
    _json(where / "sentence_bert_config.json", {"max_seq_length": tokenizer.model_max_length, "do_lower_case": False})
    modules = ["Transformer"]
    if averaged is not None:
        said = {"word_embedding_dimension": width, "num_hidden_layers": count, "layer_start": start}
        _module(where, modules, "WeightedLayerPooling", said, {"layer_weights": weights})
    how = encoder.pooling if averaged is None else "mean"
    modes = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
    pooling = {mode: kind == how for kind, mode in modes.items()}
    _module(where, modules, "Pooling", {"word_embedding_dimension": width, **pooling})
    for weight, bias, activation in layers:
        sizes = {"in_features": weight.shape[1], "out_features": weight.shape[0], "bias": True}
        tensors = {"linear.weight": weight, "linear.bias": bias}
        _module(where, modules, "Dense", {**sizes, "activation_function": activation}, tensors)
    if normalize:
        _module(where, modules, "Normalize", {})
    _json(where / "config_sentence_transformers.json", {"prompts": {}, "similarity_fn_name": "cosine"})
    listed = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(modules)
    ]
    _json(where / "modules.json", listed)  # last, as without it the folder is none
    return averaged


def _make_room(net: Any, count: int) -> None:
    """Give the table of embeddings a row for a pad that the run's tokenizer lacks. It is masked wherever it stands, so zeros do."""
    try:
        if len(net.get_input_embeddings().weight) < count:
            net.resize_token_embeddings(count, mean_resizing=False).weight.data[-1] = 0
    except Exception as error:  # transformers' models keep their tables in their own ways
        raise ConfigError(
            f"the tokenizer has no token that fills up rows, and {net.config.model_type} takes no new one "
            f"({one_line(error)}): give modalities.text a tokenizer with {PAD}"
        ) from error


def _module(
    where: Path, modules: list[str], kind: str, said: dict[str, Any], tensors: dict[str, Tensor] | None = None
) -> None:
    """A module that follows: its folder, with what it is and its weights."""
    inner = where / f"{len(modules)}_{kind}"
    inner.mkdir()
    modules.append(kind)
    _json(inner / "config.json", said)
    if tensors:
        safetensors.torch.save_file({k: t.contiguous() for k, t in tensors.items()}, inner / "model.safetensors")


def _json(file: Path, said: Any) -> None:
    file.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _encoder(run: Run, wanted: str | None) -> tuple[str, Pooled]:
    """The transformer to export, and its name."""
    encoders = {name: e for name, e in run.method.encoders.items() if getattr(e, "modality", None) == "text"}
    if wanted is not None and wanted not in encoders:
        raise ConfigError(f"the run has no text encoder {wanted!r}; there is {', '.join(encoders) or 'none'}")
    if wanted is None and len(encoders) != 1:
        raise ConfigError(f"name the text encoder to export; there is {', '.join(encoders) or 'none'}")
    name = wanted or next(iter(encoders))
    encoder = run.encoder(name)
    if not isinstance(encoder, Pooled):
        raise ConfigError(f"{name} is a {type(encoder).__name__}, and sentence-transformers has no layout for it")
    return name, encoder


def _tokenizer(modality: Any) -> Any:
    """A modality's tokenizer as transformers saves one."""
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer.from_str(modality.state_dict()["tokenizer"])
    added = {token.content for token in made.get_added_tokens_decoder().values()}
    own = made.id_to_token(pad_of(made))
    # It is masked, so any will do but a word: transformers takes what it is told of out of texts before they are split.
    marks = {"pad_token": own if own in added | {PAD, "<pad>"} else PAD}
    if CLS in added:
        marks["cls_token"] = CLS
    made.no_padding()
    made.no_truncation()
    if not all(found.ids for found in made.encode_batch(UNKNOWN)):
        warn(
            "the tokenizer makes no token of some texts, such as an emoji or a space of no width, "
            "and sentence-transformers can't encode these, or gives other vectors: leave them out before encode"
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=modality.max_length,
        model_input_names=["input_ids", "attention_mask"],
        **marks,
    )


def _layers(run: Run, name: str) -> list[tuple[Tensor, Tensor, str]]:
    """The projector behind an encoder as linear maps: weight (out, in), bias (out,), and the class of what follows."""
    towers = run.method.towers
    owner = next(
        (b for b, branch in towers.branches.items() if branch.of is None and name in towers.routes[b].encoders), None
    )
    if owner is None:
        raise ConfigError(f"no branch of {name} is trained, so it has no projector: export --head pooled")
    if towers.branches[owner].tap != "pooled":
        raise ConfigError(f"the projector of {owner} reads the tap {towers.branches[owner].tap}: export --head pooled")
    route = towers.routes[owner]
    if route.projector is None:
        return []
    projector, encoder = towers.projectors[route.projector[1]], run.encoder(name)
    assert isinstance(encoder, Pooled)
    width = encoder.dims["pooled"]
    with torch.no_grad():
        return [(w.cpu(), b.cpu(), ACTIVATIONS[kind]) for w, b, kind in _maps(projector, width)]


def _maps(projector: nn.Module, width: int) -> Iterator[tuple[Tensor, Tensor, type[nn.Module]]]:
    if isinstance(projector, Slice):
        yield torch.eye(width)[: projector.out], torch.zeros(projector.out), nn.Identity
        return
    if isinstance(projector, Pooler):
        yield projector.layer.weight, projector.layer.bias, nn.Tanh
        return
    if not isinstance(projector, MLP):
        kind = type(projector).__name__
        raise ConfigError(f"the projector is a {kind}, and sentence-transformers has no layout for it: --head pooled")
    weight, bias = torch.empty(0), torch.empty(0)
    parts = list(projector.net)
    for part, follows in zip(parts, [*parts[1:], None], strict=True):
        if isinstance(part, nn.Linear):
            weight = part.weight
            bias = weight.new_zeros(len(weight)) if part.bias is None else part.bias
        elif isinstance(part, nn.modules.batchnorm._BatchNorm):
            assert part.running_var is not None
            assert part.running_mean is not None
            scale = (part.running_var + part.eps).rsqrt() * (1.0 if part.weight is None else part.weight)
            weight = weight * scale[:, None]
            bias = (bias - part.running_mean) * scale + (0.0 if part.bias is None else part.bias)
        if type(part) in ACTIVATIONS:
            yield weight, bias, type(part)
        elif follows is None:
            yield weight, bias, nn.Identity
