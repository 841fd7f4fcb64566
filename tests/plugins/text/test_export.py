"""What is exported gives another library the embeddings that the run gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import contrapose as cp
from contrapose.cli import main
from contrapose.errors import ConfigError, ContraposeWarning, DataError
from contrapose.types import Sample
from contrapose_text.export import to_sentence_transformers

TEXTS = ["Bed", "  a corner\tSOFA with\nan ottoman ", "größer, 椅子 🪑", "oak " * 300, " ".join(map(str, range(200)))]
WORDS = ["chair", "oak", "table", "lamp", "one", "bed", "two", "sofa", "green", "of", "with"]
Export = Callable[..., Path]


def trained(out: Path, **changes: Any) -> cp.Run:
    rng = np.random.default_rng(0)
    rows = [{"name": " ".join(rng.choice(WORDS, 5))} for _ in range(24)]
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


def ours(run: cp.Run, head: Any = "pooled") -> np.ndarray:
    samples: Any = [
        Sample(i, {"text": run.parts.modalities["text"].load({"t": t}, Path())}, {}) for i, t in enumerate(TEXTS)
    ]
    return run.embed(samples, head=head)["text"].z


def theirs(folder: Path) -> np.ndarray:
    library = pytest.importorskip("sentence_transformers", reason="sentence-transformers isn't installed")
    model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    found: np.ndarray = model.encode(TEXTS, batch_size=2, show_progress_bar=False)
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
