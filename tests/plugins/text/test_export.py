"""What is exported gives another library the embeddings that the run gives."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import contrapose as cp
from contrapose.cli import main
from contrapose.errors import ConfigError, ContraposeWarning, DataError
from contrapose.types import Sample
from contrapose_text.export import to_sentence_transformers

TEXTS = ["Bed", "  a corner\tSOFA with\nan ottoman ", "größer, 椅子 🪑", "oak " * 300, " ".join(map(str, range(200)))]
LOUD = ["!!! wow!!!", "two, !", "green!", "one oak bed of two lamps with a sofa and a table!!"]
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
WORDS = ["chair", "oak", "table", "lamp", "one", "bed", "two", "sofa", "green", "of", "with"]
Export = Callable[..., Path]


def trained(out: Path, **changes: Any) -> cp.Run:
    rng = np.random.default_rng(0)
    rows = [{"name": " ".join(rng.choice(WORDS, 5)), "wood": WORDS[n % 9]} for n in range(24)]
    (out / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config: dict[str, Any] = {
        "data": str(out / "rows.jsonl"),
        "modalities": {"text": {"columns": "name", "max_length": 16, "vocabulary": 300}},
        "views": {"text": "text/dropout"},
        "encoders": {"text": {"use": "text/transformer", "layers": 3, "width": 32, "heads": 2}},
        "method": {"use": "simclr", "branches": {"online": {"projector": {"hidden": 24, "out": 8, "last": "batch"}}}},
        "train": {"epochs": 2, "batch_size": 8, "lr": 1e-2, "threads": 1, "device": "cpu", "loggers": []},
    }
    return cp.train(config | changes, out=out / "run", quiet=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cp.Run:
    return trained(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> cp.Run:
    pytest.importorskip("peft", reason="peft isn't installed")
    return trained(
        tmp_path_factory.mktemp("lora"),
        modalities={"text": {"columns": "name", "tokenizer": str(bert), "max_length": 16}},
        encoders={"text": {"use": "text/pretrained", "path": str(bert), "lora": {"rank": 2}}},
    )


def given(file: Path, marks: list[str], loud: bool) -> str:
    """A tokenizer.json of BPE without an unknown token: of words alone, or of bytes too, where ``loud`` the first token is "!"."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if loud else pre_tokenizers.Whitespace()
    alphabet = pre_tokenizers.ByteLevel.alphabet() if loud else []
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([*WORDS, *LOUD], trainer)
    made.save(str(file))
    return str(file)


def ours(run: cp.Run, head: Any = "pooled", texts: list[str] = TEXTS) -> np.ndarray:
    samples: Any = [
        Sample(i, {"text": run.parts.modalities["text"].load({"t": t}, Path())}, {}) for i, t in enumerate(texts)
    ]
    return run.embed(samples, head=head)["text"].z


def theirs(folder: Path, texts: list[str] = TEXTS) -> np.ndarray:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers isn't installed")
    model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    found: np.ndarray = model.encode(texts, batch_size=2, show_progress_bar=False)
    return found


@pytest.mark.reference
@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first-last", "last-two"])
def test_encode_is_embed(run: cp.Run, tmp_path: Path, pooling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.encoder("text"), "pooling", pooling)
    assert to_sentence_transformers(run, tmp_path / "st") == 32
    np.testing.assert_allclose(theirs(tmp_path / "st"), ours(run), atol=1e-5)


@pytest.mark.reference
def test_the_projector_follows_as_layers(run: cp.Run, tmp_path: Path) -> None:
    assert main(["export", str(run.dir), str(tmp_path / "st"), "--head", "projected"]) == 0
    expected = ours(run, "projected")
    assert expected.shape == (5, 8)
    np.testing.assert_allclose(theirs(tmp_path / "st"), expected, atol=1e-5)
    to_sentence_transformers(run, tmp_path / "unit", "projected", normalize=True)
    unit = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(theirs(tmp_path / "unit"), unit, atol=1e-5)


@pytest.mark.reference
def test_lora_is_merged(lora: cp.Run, tmp_path: Path, bert: Path) -> None:
    to_sentence_transformers(lora, tmp_path / "st")
    np.testing.assert_allclose(theirs(tmp_path / "st"), ours(lora), atol=1e-5)
    assert any("lora" in name for name in lora.encoder("text").state_dict()), "the run keeps its own"
    from transformers import AutoModel

    found, before = (AutoModel.from_pretrained(path).state_dict() for path in (tmp_path / "st", bert))
    changed = {name for name in found if not name.startswith("pooler.") and not torch.equal(found[name], before[name])}
    assert changed == {
        f"encoder.layer.{i}.attention.self.{kind}.weight" for i in range(3) for kind in ("query", "value")
    }


@pytest.mark.reference
def test_simcses_pooler_follows_as_a_layer(tmp_path: Path) -> None:
    slots = {"anchor": "name", "positive": "name", "negative": "wood"}
    run = trained(
        tmp_path,
        modalities={"text": {"columns": ["name", "wood"], "max_length": 16, "vocabulary": 300}},
        views={"text": {"use": "text/columns", "slots": slots}},
        method={"use": "text/simcse-supervised"},
    )
    assert to_sentence_transformers(run, tmp_path / "st", "projected") == 32
    np.testing.assert_allclose(theirs(tmp_path / "st"), ours(run, "projected"), atol=1e-5)
    assert np.abs(ours(run, "projected") - ours(run)).max() > 0.1


@pytest.mark.reference
@pytest.mark.parametrize("config", [None, {"model_type": "roberta", "max_position_embeddings": 20, **SMALL}])
def test_a_tokenizer_without_a_pad_gets_one(tmp_path: Path, config: dict[str, Any] | None) -> None:
    tokenizer = given(tmp_path / "loud.json", [], loud=True)
    assert Tokenizer.from_file(tokenizer).id_to_token(0) == "!"
    encoder = {"use": "text/from-config", "config": config} if config else {"use": "text/transformer", "width": 32}
    run = trained(
        tmp_path,
        modalities={"text": {"columns": "name", "tokenizer": tokenizer, "max_length": 16}},
        encoders={"text": encoder},
    )
    to_sentence_transformers(run, tmp_path / "st")
    texts = [*LOUD, *(text.strip() for text in TEXTS)]  # as the run reads a text, and its tokenizer tells spaces
    np.testing.assert_allclose(theirs(tmp_path / "st", texts), ours(run, texts=texts), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "pooling", "told"),
    [
        (
            {"model_type": "qwen2", "num_key_value_heads": 2, **SMALL},
            "mean",
            "qwen2 back as Qwen2Tokenizer, which splits",
        ),
        (
            {"model_type": "clip_text_model", **SMALL},
            "first-last",
            "clip_text_model with pooling first-last gives other",
        ),
        ({"model_type": "fnet", **SMALL}, "mean", "fnet with pooling mean gives other embeddings"),
        ({"model_type": "yoso", **SMALL}, "max", "yoso with pooling max gives other embeddings"),
    ],
)
def test_what_transformers_reads_otherwise_is_not_left(
    tmp_path: Path, config: dict[str, Any], pooling: str, told: str
) -> None:
    run = trained(
        tmp_path,
        encoders={"text": {"use": "text/from-config", "config": config, "pooling": pooling}},
        train={"epochs": 1, "batch_size": 8, "threads": 1, "device": "cpu", "loggers": []},
    )
    (tmp_path / "there").mkdir()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for folder in ("there", "new/er"):
        with pytest.raises(ConfigError, match=f"{told}.*nothing is written; embed by contrapose embed") as error:
            to_sentence_transformers(run, tmp_path / folder)
        assert "\n" not in str(error.value)
    assert not any((tmp_path / "there").iterdir())
    assert not (tmp_path / "new").exists()
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_written_without_the_other_library(run: cp.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    to_sentence_transformers(run, tmp_path, "projected")
    kinds = [m["type"].rpartition(".")[2] for m in json.loads((tmp_path / "modules.json").read_text())]
    assert kinds == ["Transformer", "Pooling", "Dense", "Dense"]


def test_what_cant_be_exported_is_told_in_one_line(
    run: cp.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_text("")
    with pytest.raises(DataError, match="there already; export to a new folder"):
        to_sentence_transformers(run, tmp_path)
    with pytest.raises(ConfigError, match="no text encoder 'words'; there is text"):
        to_sentence_transformers(run, tmp_path / "new", encoder="words")
    (tmp_path / "bag").mkdir()
    bag = trained(tmp_path / "bag", encoders={"text": "text/bag"}, evaluate={"views": {"text": "text/crop"}})
    with pytest.raises(ConfigError, match="text is a Bag, and sentence-transformers has no layout for it"):
        to_sentence_transformers(bag, tmp_path / "new")
    assert main(["export", str(bag.dir), str(tmp_path / "new")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: text is a Bag")
    assert not (tmp_path / "new").exists()


def test_a_view_that_evaluation_makes_is_told(run: cp.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(run.config.run.evaluate.views, "text", "text/crop")
    with pytest.warns(ContraposeWarning, match=r"evaluate\.views changes text"):
        to_sentence_transformers(run, tmp_path / "st")
    for n, view in enumerate(
        [{"use": "text/prefix", "prefix": "a "}, {"use": ["text/eval", "text/crop"]}, ["text/swap"]]
    ):
        monkeypatch.setitem(run.config.run.evaluate.views, "text", view)
        with pytest.warns(ContraposeWarning, match=r"evaluate\.views changes text"):
            to_sentence_transformers(run, tmp_path / str(n))


@pytest.mark.parametrize(
    "view", ["text/eval", {"use": "text/eval"}, ["text/eval"], [{"use": "text/dropout"}], {"use": ["text/eval"]}]
)
def test_a_view_that_changes_nothing_is_no_matter(
    run: cp.Run, tmp_path: Path, view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(run.config.run.evaluate.views, "text", view)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ContraposeWarning)
        to_sentence_transformers(run, tmp_path / "st")


def test_texts_without_a_token_are_told(tmp_path: Path) -> None:
    tokenizer = given(tmp_path / "words.json", ["[PAD]"], loud=False)
    run = trained(tmp_path, modalities={"text": {"columns": "name", "tokenizer": tokenizer, "max_length": 16}})
    with pytest.warns(ContraposeWarning, match="makes no token of some texts") as told:
        to_sentence_transformers(run, tmp_path / "st")
    assert len([one for one in told if one.category is ContraposeWarning]) == 1


def test_words_say_which_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    assert "contrapose embed --head pooled" in " ".join(capsys.readouterr().out.split())
    readme = (Path(__file__).parents[3] / "plugins/text/README.md").read_text().partition("**Export**")[2]
    assert 'run.embed(..., head="pooled")' in readme.partition("As loaded")[0]
