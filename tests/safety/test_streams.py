"""Streams, and datasets of the package datasets, from a stranger: no code runs, and nothing outside of them is read."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from contrapose import ConfigError, DataError
from contrapose.data import stream
from contrapose.data.address import SCHEMES, open_address
from contrapose.data.cells import FOLLOW, NOWHERE, read_bytes
from contrapose.data.hf import HuggingFaceReader, HuggingFaceStream
from contrapose.data.pack import pack
from contrapose.data.tar import TarReader
from contrapose.data.tarindex import MOST, MOST_SAID
from contrapose.data.tarstream import TarStream
from contrapose.errors import ContraposeWarning, Unreachable
from tests.safety.test_data import header, sized


class Thing:
    """A modality of the files ``.bin``, which it reads as they are."""

    name, extensions = "thing", (".bin",)

    def load(self, cells, root):
        return cells["thing"]


def streamed(path: str | Path, meta=None) -> TarStream:
    return TarStream(str(path), {"thing": Thing()}, {"thing": None}, meta)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))


def references(folder: Path) -> Path:
    """What fsspec's ``reference:`` reads: a template whose key is a command, which touches ``pwned``."""
    command = "{{ cycler.__init__.__globals__.os.popen('touch %s').read() }}" % (folder / "pwned")
    made = {"key": command, "url": "memory://x", "dimensions": {"i": [0]}}
    (folder / "refs.json").write_text(json.dumps({"version": 1, "templates": {}, "gen": [made], "refs": {}}))
    return folder / "refs.json"


# addresses


@pytest.mark.parametrize(
    "form",
    [
        "reference://k::file://{}",
        "zip://a.tar::reference://k::file://{}",
        "tar://a.tar::reference://k::{}",
        "file::reference://k::file://{}",
        "file:{{:}}reference://k::file://{}",
        "{{s3,reference}}://k::file://{}",
        "s3{{:}}://k{{::}}reference://k{{:}}:file://{}",
        "memory://a::reference://k::file://{}",
        "https://a::reference://k::file://{}",
        "pipe:cat {}",
        "file://{}",
        "local:{}",
        "s3:{}",
    ],
)
def test_an_address_runs_no_code_and_reads_no_file_here(tmp_path: Path, form: str, monkeypatch) -> None:
    monkeypatch.setattr(stream, "WAIT", 0.0)
    address = form.format(references(tmp_path))
    with pytest.raises((ConfigError, DataError)) as error:
        streamed(address)
    with pytest.raises((ConfigError, DataError, OSError)):
        open_address(address)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "pwned").exists()


def test_the_schemes_are_those_of_places_elsewhere() -> None:
    assert not {"file", "local", "pipe", "reference", "zip", "tar", "simplecache", "filecache"} & {*SCHEMES}


def test_the_page_names_them_and_the_limits() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "safety.md").read_text(encoding="utf-8")
    assert f"{', '.join(f'`{s}`' for s in SCHEMES[:-1])} and `{SCHEMES[-1]}`" in page
    assert f"{MOST >> 30} GiB, a long name {MOST_SAID >> 20} MiB" in page


@pytest.mark.parametrize(
    "address",
    [
        "https://[::1/x.tar",
        "https://exa mple/x.tar",
        "http://a:port/x",
        "http://a..b/x",
        "http://127.0.0.1:1/\u00e9.tar",
    ],
)
def test_what_is_no_address_is_told_at_once_without_its_key(address: str, monkeypatch) -> None:
    monkeypatch.setattr(stream, "WAIT", 1000)
    with pytest.raises(Unreachable, match="can't be asked for") as error:
        streamed(address + "?key=secret")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_cells_from_elsewhere_name_no_file_here(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "near.bin").write_bytes(b"secret")
    for cell in ("near.bin", ".", ""):
        with pytest.raises(DataError, match="data from elsewhere"):
            read_bytes(cell, NOWHERE)


# shards


def pax(facts: dict[str, str], name: str = "b.bin") -> bytes:
    """A file of one byte whose pax header says ``facts``."""
    member = tarfile.TarInfo(name)
    member.size, member.pax_headers = 1, facts
    return member.tobuf(tarfile.PAX_FORMAT) + b"x" + bytes(511)


LONG = header("././@LongLink", b"aaaa\0", tarfile.GNUTYPE_LONGNAME)
GOOD = header("a.bin", b"good")

HEADERS = {
    "a size below 0": sized("b.bin", -512),
    "one past the limit": sized("b.bin", 2**31 + 1),
    "a size below 0 by pax": pax({"size": "-512"}),
    "a huge size by pax": pax({"size": "9" * 4000}),
    "a size that is no number": pax({"GNU.sparse.size": "abc"}),
    "a map that is none": pax({"GNU.sparse.map": "1,a"}),
    "names of names": LONG * 20 + header("b.bin", b"x"),
    "thousands of them": LONG * 3000 + header("b.bin", b"x"),
    "a name without end": header("b", b"x" * (MOST_SAID + 1), tarfile.GNUTYPE_LONGNAME) + header("b.bin", b"x"),
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_header_that_lies_is_damage(tmp_path: Path, content: bytes) -> None:
    shard = tmp_path / "t.tar"
    shard.write_bytes(header("0.bin", b"good") + GOOD + content + header("c.bin", b"more") + bytes(1024))
    with pytest.warns(ContraposeWarning, match=r"t\.tar: cut short or damaged after 1 samples"):
        reader = streamed(shard)
    with pytest.warns(ContraposeWarning, match="cut short or damaged"):
        assert [s.data["thing"] for s in reader] == [b"good"]
    with pytest.raises(DataError, match=r"t\.tar: can't be read as tar") as error:
        TarReader(shard, {"thing": Thing()}, {"thing": None})
    assert "\n" not in str(error.value)


def test_a_long_name_and_its_facts_are_no_lie(tmp_path: Path) -> None:
    shard = tmp_path / "t.tar"
    with tarfile.open(shard, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("n" * 5000 + ".bin"))
    with tarfile.open(tmp_path / "u.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "c"}) as tar:
        for k in range(40):
            tar.addfile(tarfile.TarInfo(f"{k}" * 500 + ".bin"))
    assert [s.data["thing"] for s in streamed(tmp_path / "{t,u}.tar")] == [b""] * 41
    assert len(TarReader(tmp_path / "{t,u}.tar", {"thing": Thing()}, {"thing": None})) == 41


NESTED = b'{"k": ' + b"[" * 90 + b"]" * 90 + b"}"
SAID = {
    "a number past 64 bits": ("a.json", b'{"k": %d}' % 10**30),
    "a class past 64 bits": ("a.cls", b"9" * 4000),
    "half a character": ("a.json", b'{"k": "\\ud800"}'),
    "a list of numbers past 64 bits": ("a.json", b'{"k": [%d]}' % 10**30),
    "a list of half a character": ("a.json", b'{"k": ["\\ud800"]}'),
    "lists of lists": ("a.json", NESTED),
}


@pytest.mark.parametrize(("name", "content"), SAID.values(), ids=SAID)
def test_a_value_that_no_table_holds(tmp_path: Path, name: str, content: bytes) -> None:
    shard = tmp_path / "t.tar"
    shard.write_bytes(GOOD + header(name, content) + bytes(1024))
    (sample,) = streamed(shard)
    assert sample.data["thing"] == b"good"
    with pytest.raises(DataError) as error:
        pack(streamed(shard), {"thing": Thing()}, tmp_path / "packed")
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="can't serve as a number or a label") as error:
        streamed(shard, {"label": "cls" if name.endswith("cls") else "k"})
    assert "\n" not in str(error.value)
    with pytest.raises(DataError) as error:
        TarReader(shard, {"thing": Thing()}, {"thing": None})
    assert "\n" not in str(error.value)


def test_a_value_that_no_table_holds_is_missing_in_a_later_sample(tmp_path: Path) -> None:
    shard = tmp_path / "t.tar"
    values = [b"1", b"%d" % 10**30, b"3"]
    shard.write_bytes(
        b"".join(header(f"{i}.bin", b"x") + header(f"{i}.cls", v) for i, v in enumerate(values)) + bytes(1024)
    )
    reader = streamed(shard, {"class": "cls"})
    found = [reader.load(raw) for raw in reader.all()]
    assert [sample.meta["class"] for sample, _ in found] == [1, -1, 3]
    assert [[what for what, _ in failed] for _, failed in found] == [[], ["class"], []]


# datasets of the package datasets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A dataset's folder beside a secret."""
    datasets = pytest.importorskip("datasets", reason="datasets isn't installed: pip install contrapose[hf]")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    (tmp_path / "secret.csv").write_text("x\nsecret\n")
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "rows.csv").write_text("x\nopen\n")
    (tmp_path / "data" / "sub" / "rows.csv").write_text("x\ndeep\n")
    return tmp_path / "data"


class Text(Thing):
    """A modality of a column's text."""

    def load(self, cells, root):
        return cells["x"]


READERS = [HuggingFaceReader, HuggingFaceStream]


def first(reader: type, path: Path | str) -> str:
    found = reader(str(path), {"thing": Text()}, {"thing": "x"})
    return next(iter(found)).data["thing"] if reader is HuggingFaceStream else found[0].data["thing"]


def card(place: str) -> str:
    return f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {place}\n"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "place",
    [
        "{0}/secret.csv",
        "../secret.csv",
        "sub/../../*.csv",
        "[rows.csv, ../secret.csv]",
        "file://{0}/secret.csv",
        "reference://k::file://{0}/refs.json",
        "zip://a.csv::reference://k::file://{0}/refs.json",
        "!!binary Li4vc2VjcmV0LmNzdg==",
    ],
)
@pytest.mark.parametrize("where", ["README.md", ".huggingface.yaml"])
def test_a_card_leads_to_no_file_outside_its_folder(folder: Path, where: str, place: str, reader: type) -> None:
    references(folder.parent)
    text = card(place.format(folder.parent))
    (folder / where).write_text(f"---\n{text}---\n# Data\n" if where == "README.md" else text)
    with pytest.raises(DataError, match=r"isn't in this folder|is no path") as error:
        first(reader, folder)
    assert "\n" not in str(error.value)
    assert not (folder.parent / "pwned").exists()


@pytest.mark.parametrize("reader", READERS)
def test_a_card_s_folder_of_data_stays_inside(folder: Path, reader: type) -> None:
    (folder / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_dir: ..\n---\n")
    with pytest.raises(DataError, match="isn't in this folder"):
        first(reader, folder)


@pytest.mark.parametrize("reader", READERS)
def test_a_card_that_names_files_of_its_folder_is_followed(folder: Path, reader: type) -> None:
    (folder / "README.md").write_text(f"---\n{card('sub/*.csv')}---\n")
    assert first(reader, folder) == "deep"


def test_a_card_that_is_none_is_one_line(folder: Path) -> None:
    for text in ("configs: 3", "configs: [3]", "a: [", "a: !!python/name:os.system"):
        (folder / "README.md").write_text(f"---\n{text}\n---\n")
        with pytest.raises(DataError) as error:
            first(HuggingFaceReader, folder)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../secret/{}", "{1}/secret/{0}", "..", "sub/../../secret/{}"])
def test_a_saved_dataset_reads_files_of_its_own(folder: Path, name: str) -> None:
    datasets = pytest.importorskip("datasets")
    for place, word in (("secret", "secret"), ("saved", "open")):
        datasets.Dataset.from_dict({"x": [word]}).save_to_disk(str(folder / place))
    state = json.loads((folder / "saved/state.json").read_text())
    (file,) = state["_data_files"]
    assert first(HuggingFaceReader, folder / "saved") == "open"
    file["filename"] = name.format(file["filename"], folder)
    (folder / "saved/state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match="no plain name"):
        first(HuggingFaceReader, folder / "saved")
    (folder / "parts").mkdir()
    (folder / "parts/dataset_dict.json").write_text(json.dumps({"splits": ["../secret"]}))
    with pytest.raises(DataError, match="no plain name"):
        first(HuggingFaceReader, folder / "parts")


@pytest.mark.parametrize("text", ["{", "[]", '{"_data_files": 3}', '{"_data_files": [{"filename": 3}]}'])
def test_a_state_of_a_saved_dataset_that_is_none(folder: Path, text: str) -> None:
    (folder / "state.json").write_text(text)
    with pytest.raises(DataError, match=r"can't be read|can't read it") as error:
        first(HuggingFaceReader, folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reader", READERS)
def test_links_of_a_dataset_that_leave_it_are_refused_unless_the_person_says_otherwise(
    folder: Path, reader: type, monkeypatch
) -> None:
    (folder / "rows.csv").unlink()
    (folder / "sub/rows.csv").unlink()
    (folder / "sub/rows.csv").symlink_to(folder.parent / "secret.csv")
    with pytest.raises(DataError, match=rf"rows\.csv: a link that leaves .*; set {FOLLOW}=1"):
        first(reader, folder)
    monkeypatch.setenv(FOLLOW, "1")
    assert first(reader, folder) == "secret"


@pytest.mark.parametrize("reader", READERS)
def test_a_file_s_name_that_could_pass_for_an_address(folder: Path, reader: type) -> None:
    (folder / "sub/rows.csv").rename(folder / "sub/a::reference.csv")
    with pytest.raises(DataError, match="could pass for an address"):
        first(reader, folder)


@pytest.mark.parametrize("path", ["zip://a::reference://k::file://{}", "file://{}", "hf://datasets/../{}", "a::b"])
def test_a_dataset_s_path_is_no_address(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="no address but a folder, a file or a name on the hub"):
        first(HuggingFaceReader, path.format(references(tmp_path)))
    assert not (tmp_path / "pwned").exists()


def test_cells_of_a_hub_s_dataset_name_no_file_here(folder: Path, monkeypatch) -> None:
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"x": ["secret.csv"]})
    monkeypatch.setattr(datasets, "load_dataset", lambda path, *a, **k: {"train": made})
    monkeypatch.chdir(folder.parent)
    assert HuggingFaceReader("owner/name", {"thing": Text()}, {"thing": "x"}).root == NOWHERE
    assert HuggingFaceReader(str(folder), {"thing": Text()}, {"thing": "x"}).root == folder
