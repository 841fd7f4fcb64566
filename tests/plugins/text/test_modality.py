from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.plugins.text.conftest import FURNITURE

from contrapose import ConfigError, build
from contrapose.data.cells import NamedBytes
from contrapose.data.folder import FolderReader
from contrapose.errors import CheckpointError, DataError
from contrapose.types import Modality
from contrapose_text.modality import Text
from contrapose_text.tokenizer import train

ODD = ["🪑🛋️ 椅子", "Ærøskøbing № ½", "\u200b", "[PAD] [CLS]", "x" * 100_000, "word " * 100_000, "\x00\x07"]


def load(root: Path = Path(), **cells: Any) -> str:
    return Text().load(cells, root)


def test_it_is_a_modality() -> None:
    assert isinstance(Text(), Modality)
    assert build("modality", {"use": "text", "max_length": 16}).max_length == 16


def test_text_is_text_bytes_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "a chair.TXT").write_bytes("\ufeffEin Stühlchen\n".encode())
    assert load(name=" Oak chair ") == "Oak chair"
    assert load(name="Stühlchen".encode()) == "Stühlchen"
    assert load(tmp_path, file="a chair.TXT") == "Ein Stühlchen"
    assert load(title="Oak chair", body=None, more=" ", last="from 1890") == "Oak chair\nfrom 1890"


@pytest.mark.parametrize("cells", [{"name": ""}, {"name": " \n\t"}, {"name": b""}, {"title": " ", "name": ""}])
def test_a_text_without_a_word_is_said_to_be_empty(cells: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"^empty text in (title, )?name$"):
        load(**cells)


def test_what_is_no_text_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^name: not UTF-8 at byte 3; save it as UTF-8$"):
        load(name="café".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8 at character 1"):
        load(name="a\ud83d")
    for cell, what in ((3.5, "3.5 is no text but a float"), (True, "True is no text but a bool"), (["a"], "a list")):
        with pytest.raises(DataError, match=f"^name: .*{what}$"):
            load(name=cell)
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"bad.txt: not UTF-8 at byte 0"):
        load(tmp_path, file="bad.txt")
    with pytest.raises(DataError, match="no such file"):
        load(tmp_path, file="none.txt")
    with pytest.raises(DataError, match="must stay under"):
        load(tmp_path, file="../none.txt")


def test_fit_leaves_out_what_cant_be_read_and_says_why_if_nothing_can(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("walnut walnut")
    modality = Text()
    modality.fit([{"name": "a.txt"}, {"name": 3}, {"name": b"\xff"}, {"name": " "}], tmp_path)
    assert modality.facts()["vocabulary"] > Text(vocabulary=258).vocabulary
    with pytest.raises(DataError, match=r"no text to train a tokenizer on: name: 1\.5 is no text but a float"):
        Text().fit([{"name": 1.5}, {"name": 2.5}])
    with pytest.raises(DataError, match="every cell is blank"):
        Text().fit([])


def test_collate_gives_ids_and_a_mask_of_one_width(text: Text) -> None:
    batch = text.collate(["Oak chair", "Bed"])
    ids, mask = batch["ids"], batch["mask"]
    assert ids.shape == mask.shape == (2, 32)
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.bool)
    assert (mask.sum(dim=1) == torch.tensor([3, 2])).all()
    assert (ids[~mask] == text.facts()["pad"]).all()
    assert ids[0, 0] == ids[1, 0], "[CLS]"
    upper = text.collate(["  OAK \n CHAIR  ", "bed"])
    assert torch.equal(upper["ids"], ids), "neither case nor the kind of space matters"


def test_no_text_is_unknown_or_too_long(text: Text) -> None:
    batch = text.collate(ODD)
    assert batch["ids"].shape == (len(ODD), 32)
    assert batch["ids"].max() < text.facts()["vocabulary"]
    assert batch["mask"].any(dim=1).all()
    assert batch["mask"][4:6].all(), "cut to max_length"
    assert len({tuple(row) for row in batch["ids"].tolist()}) == len(ODD)


def test_long_text_is_cut_as_the_whole_would_be(text: Text, names: list[str]) -> None:
    book = " ".join(names * 3)
    whole = text._fitted().encode(book).ids
    assert text.collate([book])["ids"][0].tolist() == whole


def test_the_vocabulary_is_no_larger_than_said(names: list[str]) -> None:
    small = Text(vocabulary=300)
    small.fit([{"name": name} for name in names])
    facts = small.facts()
    assert facts == {"vocabulary": 300, "pad": 0, "max_length": 64, "tokenizer": "trained"}
    with pytest.raises(ConfigError, match="258, got 100"):
        build("modality", {"use": "text", "vocabulary": 100})


def test_words_rare_or_never_seen_share_pieces_with_others(text: Text, names: list[str]) -> None:
    tokenizer = text._fitted()
    assert {"Ġoak", "Ġbed", "chair"} <= set(tokenizer.encode("oaken bedchair").tokens)
    counts = Counter(word for name in names for word in name.lower().split())
    pieces: dict[bool, list[int]] = {True: [], False: []}
    for word, count in counts.items():
        pieces[count > 1].append(sum(tokenizer.encode(word).attention_mask) - 1)
    assert np.mean(np.array(pieces[True]) == 1) > 0.9
    assert np.mean(np.array(pieces[False]) > 1) > 0.9


def test_state_goes_round_and_tells_the_same(text: Text) -> None:
    again = Text(max_length=32)
    again.load_state_dict(text.state_dict())
    assert again.facts() == text.facts()
    assert torch.equal(again.collate(ODD)["ids"], text.collate(ODD)["ids"])
    with pytest.raises(CheckpointError, match="tokenizer can't be read"):
        Text().load_state_dict({"tokenizer": "{}"})


def test_a_spawned_worker_has_the_tokenizer(text: Text) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(text.collate, (ODD,))
    assert torch.equal(there["ids"], text.collate(ODD)["ids"])
    assert pickle.loads(pickle.dumps(Text())).facts.__name__ == "facts"


def test_every_process_trains_the_same_tokenizer(names: list[str]) -> None:
    code = "import sys, contrapose_text.tokenizer as t; print(t.train(sys.stdin.read().splitlines(), 8000).to_str())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], input="\n".join(names), capture_output=True, text=True
        ).stdout.strip()
        for _ in range(3)
    }
    assert found == {train(names, 8000).to_str()}


def test_without_a_tokenizer_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="fit it on texts, or give one"):
        Text().collate(["a"])


def test_preview_is_the_text() -> None:
    assert Text().preview("Oak chair") == {"text/plain": "Oak chair"}


def test_suggest_claims_free_text_and_text_files_alone() -> None:
    table = pq.read_table(FURNITURE)
    columns = {c: [v for v in table[c].to_pylist() if v is not None][:200] for c in table.schema.names}
    found = Text().suggest(columns, FURNITURE.parent, True)
    assert found is not None
    assert found.columns == ["name"]
    assert (found.views, found.encoder) == ("text/dropout", {"use": "text/transformer", "layers": 2, "width": 128})
    made = {
        "note": ["a/chair one.txt", "b/bed.TXT"],
        "when": ["2021-01-01 10:00:00", "2021-01-02 11:00:00"],
        "path": ["a/chair.png", "b/bed.png"],
        "none": [],
    }
    large = Text().suggest(made, Path(), False)
    assert large is not None
    assert (large.columns, large.encoder) == (["note"], {"use": "text/transformer"})
    assert Text().suggest({"path": made["path"]}, Path(), True) is None


def test_a_folder_of_files_is_a_corpus(tmp_path: Path) -> None:
    for i, words in enumerate(("oak chair", "oak bed", "  ", "walnut chair")):
        (tmp_path / f"{i}.txt").write_text(words)
    modality = Text()
    reader = FolderReader(tmp_path, {"text": modality}, {"text": None})
    modality.fit(reader.cells("text"), reader.root)
    assert {"Ġoak", "Ġchair"} <= modality._fitted().get_vocab().keys()
    sample, failed = reader.read(2)
    assert not sample.data
    assert str(failed[0][1]) == "empty text in 2.txt"


def test_a_file_from_a_shard_is_named_where_it_is_no_text() -> None:
    assert Text().load({"t": NamedBytes(b"\xef\xbb\xbfa chair\n", "a.txt")}, Path()) == "a chair"
    with pytest.raises(DataError, match=r"^a\.txt: not UTF-8"):
        Text().load({"t": NamedBytes(b"\xff", "a.txt")}, Path())
