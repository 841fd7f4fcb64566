"""What a network of transformers must be to be trained on texts, and how it is told where it isn't."""

from __future__ import annotations

import json
import shutil
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModel, AutoTokenizer

from contrapose import ConfigError, build
from contrapose.errors import ContraposeWarning
from contrapose_text import hub, networks
from contrapose_text.cutoff import collated, cutoff
from contrapose_text.encoders import Pretrained
from contrapose_text.lora import Lora
from contrapose_text.modality import Text

SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
XLM = {"emb_dim": 32, "n_layers": 3, "n_heads": 2}
XLNET = {"d_model": 32, "n_layer": 3, "n_head": 2, "d_inner": 64}
LONGFORMER = {**SIZES, "attention_window": 8}
LLAMA = {**SIZES, "num_key_value_heads": 2, "head_dim": 16}
LAYERED: dict[str, dict[str, Any]] = {
    "bert": SIZES,
    "roberta": SIZES,
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64},
    "mpnet": SIZES,
    "modernbert": SIZES,
    "electra": {**SIZES, "embedding_size": 16},
    "deberta-v2": SIZES,
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 2},
    "llama": LLAMA,
    "qwen3": LLAMA,
}
TEXTS = ["A corner sofa with an ottoman of green velvet", "Bed", "Bedside table of oak"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked: list[Any] = []  # told at the end, since an error could be caught

    def refuse(*args: Any, **kwargs: Any) -> None:
        asked.append(args)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield
    assert not asked


def make(text: Text, kind: str, sizes: dict[str, Any], **arguments: Any) -> Any:
    torch.manual_seed(0)
    node = {"use": "text/from-config", "config": {"model_type": kind, **sizes}, **arguments}
    return build("encoder", node, ("encoders", "text"), **text.facts())


def refusal(text: Text, kind: str, sizes: dict[str, Any], **arguments: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        make(text, kind, sizes, **arguments)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("kind", LAYERED)
@pytest.mark.parametrize(("pooling", "at"), [("first-last", 1), ("last-two", -2)])
def test_layers_are_those_that_transformers_says(text: Text, kind: str, pooling: str, at: int) -> None:
    encoder = make(text, kind, LAYERED[kind], pooling=pooling).eval()
    batch = text.collate(TEXTS)
    with torch.no_grad():
        said = encoder.net(input_ids=batch["ids"], attention_mask=batch["mask"].long(), output_hidden_states=True)
        both = (said.hidden_states[at] + said.last_hidden_state) / 2
        expected = torch.stack([h[m].mean(dim=0) for h, m in zip(both, batch["mask"], strict=True)])
        torch.testing.assert_close(encoder(batch)["pooled"], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "name"), [("xlm", "XLMModel"), ("flaubert", "FlaubertModel")])
def test_layers_in_several_lists_are_refused(text: Text, kind: str, name: str) -> None:
    error = refusal(text, kind, XLM, pooling="first-last")
    assert error.message == f"the layers of {name} can't be told apart; choose mean"
    assert error.path == ("encoders", "text", "pooling")
    make(text, kind, XLM)


@pytest.mark.parametrize(("kind", "sizes"), [("longformer", LONGFORMER), ("xlnet", XLNET)])
def test_layers_of_other_tokens_are_refused(text: Text, kind: str, sizes: dict[str, Any]) -> None:
    error = refusal(text, kind, sizes, pooling="first-last")
    assert "give no state for each token; choose mean" in error.message
    assert error.path == ("encoders", "text", "pooling")


def test_positions_without_end_take_any_text(text: Text) -> None:
    encoder = make(text, "xlnet", XLNET)
    assert networks.longest(encoder.net) is None
    assert encoder(text.collate(["oak " * 40]))["pooled"].isfinite().all()


@pytest.mark.parametrize(
    ("kind", "sizes", "said"),
    [
        ("vit", SIZES, "transformers' ViTModel can't be run on texts: "),
        ("canine", SIZES, "transformers' CanineModel can't be run on texts: "),
        ("mobilebert", {**SIZES, "true_hidden_size": 32, "intra_bottleneck_size": 16}, "MobileBertModel can't be run"),
        ("perceiver", {"num_latents": 8, "d_latents": 32, "d_model": 32}, "a perceiver has no hidden_size"),
        ("reformer", {"axial_pos_shape": [8, 8], "attn_layers": ["local"]}, "it gives states "),
    ],
)
def test_what_cant_be_run_on_texts_is_told_when_it_is_made(
    text: Text, kind: str, sizes: dict[str, Any], said: str
) -> None:
    error = refusal(text, kind, sizes)
    assert said in error.message
    assert error.path == ("encoders", "text", "config")


@pytest.mark.parametrize("kind", ["squeezebert", "layoutlm"])
def test_a_pooler_that_must_stay_isnt_trained(text: Text, kind: str) -> None:
    encoder = make(text, kind, {**SIZES, **({"embedding_size": 32} if kind == "squeezebert" else {})})
    assert not any(p.requires_grad for p in encoder.net.pooler.parameters())
    encoder(text.collate(TEXTS))["pooled"].pow(3).sum().backward()
    assert not [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None]


def test_lora_trains_no_pooler_that_must_stay(text: Text, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="peft isn't installed")
    make(text, "layoutlm", SIZES).net.save_pretrained(tmp_path)
    encoder = Pretrained(str(tmp_path), lora=Lora(targets=["all-linear"]))
    trained = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert trained
    assert not [name for name in trained if "pooler" in name]


@pytest.mark.parametrize(("kind", "name"), [("fnet", "FNetModel"), ("convbert", "ConvBertModel")])
def test_a_network_that_reads_what_fills_texts_up_is_told_of(text: Text, kind: str, name: str) -> None:
    with pytest.warns(ContraposeWarning) as caught:
        make(text, kind, SIZES)
    said = f"embeddings of a {name} depend on the other texts of a batch, since it doesn't mask what fills them up"
    assert [str(w.message) for w in caught] == [said]


@pytest.mark.parametrize("kind", LAYERED)
def test_a_network_that_masks_is_made_in_silence(text: Text, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ContraposeWarning)
        make(text, kind, LAYERED[kind])


def test_the_trial_leaves_no_trace(text: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = make(text, "bert", SIZES)
    after = torch.get_rng_state()
    ran = []
    monkeypatch.setattr(networks, "probe", lambda *args: ran.append(args))
    plain = make(text, "bert", SIZES)
    assert ran
    assert torch.equal(torch.get_rng_state(), after)
    assert all(module.training for module in tried.modules())
    assert all(p.grad is None for p in tried.parameters())
    assert tried.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in tried.state_dict().items())
    draws: list[int] = []

    def run(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        draws.append(int(torch.randint(9, ())))
        return torch.ones(len(ids), 32), torch.ones(*ids.shape, 32)

    monkeypatch.undo()
    for training in (True, False):
        tried.net.train(training)
        before = torch.get_rng_state()
        networks.probe(tried.net, run, 32, "config")
        assert torch.equal(torch.get_rng_state(), before)
        assert tried.net.training is training
    assert len(draws) == 4


def test_nothing_is_tried_without_weights() -> None:
    net = AutoModel.from_config(networks.config_of({"model_type": "bert", **SIZES})).to("meta")
    networks.probe(net, lambda ids, mask: pytest.fail("it ran"), 32, "config")


@pytest.mark.parametrize(("kind", "sizes"), [("canine", SIZES), ("longformer", LONGFORMER)])
def test_cutoff_of_no_embeddings_is_told_in_one_line(kind: str, sizes: dict[str, Any]) -> None:
    net, ids = AutoModel.from_config(networks.config_of({"model_type": kind, **sizes})), torch.arange(11)[None] + 4
    with (
        pytest.raises(ConfigError, match=r"^\w+Model has no embeddings of tokens .*: leave text/cutoff out$"),
        cutoff(net, ids > 0, collated([1], [0.5], [0.0])),
    ):
        net(input_ids=ids)


def other(folder: Path) -> str:
    """A tokenizer of a few words."""
    Tokenizer(models.WordLevel({"[UNK]": 0, "oak": 1, "[PAD]": 2}, unk_token="[UNK]")).save(str(folder / "words.json"))
    return str(folder / "words.json")


def facts(tokenizer: str | Path) -> dict[str, Any]:
    made = Text(tokenizer=str(tokenizer), max_length=16).facts()
    return {name: made[name] for name in ("vocabulary", "max_length", "tokenizer")}


def test_another_tokenizer_is_refused_by_its_words(bert: Path, tmp_path: Path) -> None:
    words = other(tmp_path)
    with pytest.raises(ConfigError) as caught:
        Pretrained(str(bert), **facts(words))
    remedy = f"give modalities.text the argument tokenizer: {bert}"
    assert caught.value.message == f"the tokenizer {words} isn't that of {bert}: {remedy}"
    assert caught.value.path == ("path",)


def test_its_own_tokenizer_is_taken_wherever_it_lies_and_with_tokens_more(bert: Path, tmp_path: Path) -> None:
    Pretrained(str(bert), **facts(bert / "tokenizer.json"))
    shutil.copy(bert / "tokenizer.json", tmp_path / "copy.json")
    Pretrained(str(bert), **facts(tmp_path / "copy.json"))
    net, tokenizer = AutoModel.from_pretrained(bert), AutoTokenizer.from_pretrained(bert)
    net.resize_token_embeddings(len(tokenizer) + 1)
    net.save_pretrained(tmp_path / "wider")
    tokenizer.save_pretrained(tmp_path / "wider")
    tokenizer.add_tokens(["ottoman-like"])
    tokenizer.save_pretrained(tmp_path / "more")
    Pretrained(str(tmp_path / "wider"), **facts(tmp_path / "more"))


def test_a_tokenizer_with_words_of_ones_own_in_the_place_of_some_is_taken(bert: Path, tmp_path: Path) -> None:
    """As adapting BERT to a field does it, with its unused tokens."""
    said = json.loads((bert / "tokenizer.json").read_text())
    words = said["model"]["vocab"]
    for n, word in enumerate([*words][-20:]):
        words[f"jargon{n}"] = words.pop(word)
    (tmp_path / "own.json").write_text(json.dumps(said))
    Pretrained(str(bert), **facts(tmp_path / "own.json"))


def test_a_tokenizer_that_isnt_at_hand_is_trusted(bert: Path, tmp_path: Path) -> None:
    known = facts(bert)
    for gone in ("./gone", "./gone.json", "nobody-has/this-one"):
        Pretrained(str(bert), **{**known, "tokenizer": gone})
    shutil.copytree(bert, bare := tmp_path / "bare", ignore=shutil.ignore_patterns("tokenizer*", "vocab*"))
    Pretrained(str(bare), **facts(other(tmp_path)))


def test_a_folder_without_a_tokenizer_says_so(bert: Path, tmp_path: Path) -> None:
    # transformers makes a BERT's tokenizer of its five marks then, and fails for a LLaMA.
    shutil.copytree(bert, bare := tmp_path / "bare", ignore=shutil.ignore_patterns("tokenizer.json", "vocab*"))
    (llama := tmp_path / "llama").mkdir()
    (llama / "config.json").write_text('{"model_type": "llama"}')
    for folder in (bare, llama):
        with pytest.raises(ConfigError) as caught:
            Text(tokenizer=str(folder)).fit([])
        assert caught.value.message == f"the folder {folder} holds no tokenizer"
        assert caught.value.path == ("tokenizer",)


def test_a_reason_is_told_whole_where_its_first_line_only_announces_it(tmp_path: Path) -> None:
    def fail(where: str, **options: Any) -> None:
        raise ValueError(f"Couldn't make it from one of: \n(1) a file, \n(2) another.\n{'x' * 900}")

    with pytest.raises(ConfigError, match=r"from one of: \(1\) a file, \(2\) another\. x+$") as caught:
        hub.load(fail, str(tmp_path), "path")
    assert len(caught.value.message) < 500


def rates(net: torch.nn.Module) -> set[float]:
    return {m.p for m in net.modules() if isinstance(m, torch.nn.Dropout)}


def test_dropout_is_as_it_is_said(bert: Path) -> None:
    batch = Text(tokenizer=str(bert), max_length=16).collate(TEXTS)
    still = Pretrained(str(bert), dropout=0.0)
    assert still.training
    assert rates(still) == {0.0}
    assert torch.equal(still(batch)["pooled"], still(batch)["pooled"])
    assert rates(Pretrained(str(bert))) == {0.1}
    more: Any = Pretrained(str(bert), dropout=0.3)
    assert rates(more) == {0.3}
    assert more.net.config.attention_probs_dropout_prob == 0.3
    state = Pretrained(str(bert)).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in still.state_dict().items())


@pytest.mark.parametrize("kind", LAYERED)
def test_every_networks_dropout_can_be_set(kind: str) -> None:
    config = networks.config_of({"model_type": kind, **LAYERED[kind], "vocab_size": 50, "pad_token_id": 0})
    networks.drop(config, 0.0, "it")
    net = AutoModel.from_config(config, attn_implementation="eager").train()
    ids = torch.arange(6)[None] + 4
    first, second = (net(input_ids=ids).last_hidden_state for _ in range(2))
    assert torch.equal(first, second)


def test_a_network_without_dropout_says_so(tmp_path: Path) -> None:
    AutoModel.from_config(
        networks.config_of({"model_type": "mamba", "hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 50})
    ).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="is a mamba, which has no dropout: set this to null") as caught:
        Pretrained(str(tmp_path), dropout=0.1)
    assert caught.value.path == ("dropout",)


def test_conserts_recipe_trains_without_dropout() -> None:
    from contrapose.config import Config
    from contrapose.config.schema import validate
    from contrapose.engine.recipe import with_recipe

    given = {"data": "x.parquet", "recipe": "text/consert", "encoders": {"text": {"path": "./bert"}}}
    run = validate(with_recipe(Config.of({**given, "modalities": {"text": {"tokenizer": "./bert"}}})).data)
    assert run.encoders["text"]["dropout"] == 0.0
