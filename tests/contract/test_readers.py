"""The core's readers under the contract of plugins' readers, all on the same things, of which one can't be read."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end import waves

from contrapose.data import ManifestReader
from contrapose.data.pack import pack
from contrapose.testing import ReaderContract

COUNT, BROKEN = 5, 3


class Filed(waves.Wave):
    """A signal in a file of its own."""

    extensions = (".wave",)


def content(i: int) -> str:
    return "no number" if i == BROKEN else f"{i} {i / 3} 1e-9"


class Readers(ReaderContract):
    """What they all read."""

    modalities = {"wave": Filed}
    broken = (BROKEN,)

    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    @property
    def files(self) -> Path:
        """A folder of files."""
        folder = self.folder / "files"
        folder.mkdir(exist_ok=True)
        for i in range(COUNT):
            (folder / f"{i}.wave").write_text(content(i))
        return folder

    @property
    def manifest(self) -> Path:
        """A table that names the files, with two columns of meta."""
        file = self.files.parent / "things.jsonl"
        rows = [{"wave": f"files/{i}.wave", "room": "abc"[i % 3], "time": i / 7} for i in range(COUNT)]
        file.write_text("\n".join(map(json.dumps, rows)))
        return file

    def cut(self, name: str, content: bytes) -> dict[str, Any]:
        """The arguments of a file that breaks off."""
        (self.folder / name).write_bytes(content)
        return {"path": str(self.folder / name)}


class TestManifest(Readers):
    spec = "manifest"
    meta = {"label": "room", "time": "time"}

    @property
    def arguments(self) -> dict[str, Any]:
        return {"path": str(self.manifest)}

    @property
    def damaged(self) -> list[dict[str, Any]]:
        return [
            self.cut("cut.jsonl", b'{"wave": "files/'),
            self.cut("cut.parquet", b"PAR1\x15\x04"),
            self.cut("0.csv", b""),
        ]


class TestFolder(Readers):
    spec = "folder"

    @property
    def arguments(self) -> dict[str, Any]:
        return {"path": str(self.files)}


class TestPacked(Readers):
    spec = "packed"
    meta = {"label": "room"}

    @property
    def arguments(self) -> dict[str, Any]:
        folder = self.folder / "packed"
        if not folder.exists():
            pack(ManifestReader(self.manifest, {"wave": Filed()}, {"wave": None}), {"wave": Filed()}, folder)
        return {"path": str(folder)}

    @property
    def damaged(self) -> list[dict[str, Any]]:
        cut = Path(shutil.copytree(self.arguments["path"], self.folder / "cut"))
        for file in filter(Path.is_file, cut.rglob("*")):
            os.truncate(file, file.stat().st_size // 2)
        return [{"path": str(cut)}]


class TestShards(Readers):
    spec = "webdataset"

    @property
    def arguments(self) -> dict[str, Any]:
        with tarfile.open(self.folder / "shard-0.tar", "w") as tar:
            for i in range(COUNT):
                member = tarfile.TarInfo(f"{i}.wave")
                member.size = len(content(i))
                tar.addfile(member, io.BytesIO(content(i).encode()))
        return {"path": str(self.folder / "shard-0.tar")}

    @property
    def damaged(self) -> list[dict[str, Any]]:
        whole = Path(self.arguments["path"]).read_bytes()
        return [self.cut("cut-0.tar", whole[:700]), self.cut("none-0.tar", b"no tar")]


class TestHuggingFace(Readers):
    spec = "hf"
    meta = {"label": "room"}

    @property
    def arguments(self) -> dict[str, Any]:
        datasets = pytest.importorskip("datasets", reason="datasets isn't installed: pip install contrapose[hf]")
        datasets.disable_progress_bars()
        folder = self.folder / "saved"
        if not folder.exists():
            rows = {"wave": [content(i).encode() for i in range(COUNT)], "room": [i % 2 for i in range(COUNT)]}
            datasets.Dataset.from_dict(rows).save_to_disk(str(folder))
        return {"path": str(folder)}


class TestSeveral(Readers):
    """A manifest, and a folder that has no meta."""

    spec = "several"
    meta = {"label": "room", "time": "time"}
    broken = (BROKEN, COUNT + BROKEN)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"of": {"table": str(self.manifest), "files": {"data": str(self.files), "modalities": {"wave": "."}}}}

    @property
    def damaged(self) -> list[dict[str, Any]]:
        whole = str(self.manifest)
        return [{"of": {"whole": whole, "cut": self.cut("cut.jsonl", b'{"wave": "files/')["path"]}}]
