"""Streams, and datasets of the package datasets, from a stranger: no code runs, and nothing outside of them is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contrapose import ConfigError, DataError
from contrapose.data import stream
from contrapose.data.cells import NOWHERE, read_bytes
from contrapose.data.shards import SCHEMES
from contrapose.data.tarstream import TarStream, open_address
from contrapose.errors import Unreachable


class Thing:
    """A modality of the files ``.bin``, which it reads as they are."""

    name, extensions = "thing", (".bin",)

    def load(self, cells, root):
        return cells["thing"]


def streamed(path: str | Path, meta=None) -> TarStream:
    return TarStream(str(path), {"thing": Thing()}, {"thing": None}, meta)


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
def test_an_address_runs_no_code_and_reads_no_file_here(tmp_path: Path, form: str) -> None:
    address = form.format(references(tmp_path))
    with pytest.raises((ConfigError, DataError)) as error:
        streamed(address)
    with pytest.raises((ConfigError, DataError, OSError)):
        open_address(address)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "pwned").exists()


def test_the_schemes_are_those_of_places_elsewhere() -> None:
    assert not {"file", "local", "pipe", "reference", "zip", "tar", "simplecache", "filecache"} & {*SCHEMES}


@pytest.mark.parametrize(
    "address",
    ["https://[::1/x.tar", "https://exa mple/x.tar", "http://a:port/x", "http://a..b/x", "http://127.0.0.1:1/\u00e9.tar"],
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
