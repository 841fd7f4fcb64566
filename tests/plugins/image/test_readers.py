"""Pictures in every form that a dataset may have: the same pixels, the class as the label, and a step of training."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

import contrapose
from contrapose import Config
from contrapose.engine.build import Parts

Array = NDArray[np.uint8]
CLASSES = ("cat", "dog")


@pytest.fixture
def pictures(photo: Array) -> list[tuple[str, str, bytes, Array]]:
    """Name, class, file and pixels of eight pictures, in the order of their paths."""
    made = []
    for i in range(8):
        pixels = np.roll(photo, 9 * i, axis=1)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        made.append((f"p{i}", CLASSES[i // 4], file.getvalue(), pixels))
    return made


def class_folders(root: Path, pictures: Any) -> dict[str, Any]:
    for name, label, file, _ in pictures:
        (root / "train" / label).mkdir(parents=True, exist_ok=True)
        (root / "train" / label / f"{name}.png").write_bytes(file)
    return {"data": str(root / "train"), "meta": {"label": "folder"}}


def one_folder(root: Path, pictures: Any) -> dict[str, Any]:
    for name, _, file, _ in pictures:
        (root / f"{name}.PNG").write_bytes(file)
    return {"data": str(root)}


def manifest_of_paths(root: Path, pictures: Any) -> dict[str, Any]:
    (root / "files").mkdir()
    with (root / "things.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["picture", "class"])
        for name, label, data, _ in pictures:
            (root / "files" / f"{name}.png").write_bytes(data)
            table.writerow([f"files/{name}.png", label])
    return {"data": str(root / "things.csv"), "meta": {"label": "class"}, "modalities": {"image": "picture"}}


def manifest_of_bytes(root: Path, pictures: Any) -> dict[str, Any]:
    _, labels, files, _ = zip(*pictures, strict=True)
    pq.write_table(pa.table({"picture": list(files), "class": list(labels)}), root / "things.parquet")
    return {"data": str(root / "things.parquet"), "meta": {"label": "class"}, "modalities": {"image": "picture"}}


def tar_shards(root: Path, pictures: Any) -> dict[str, Any]:
    for shard in range(2):
        with tarfile.open(root / f"{shard:03}.tar", "w") as tar:
            for name, label, data, _ in pictures[4 * shard : 4 * shard + 4]:
                for suffix, content in (("png", data), ("json", json.dumps({"class": label}).encode())):
                    member = tarfile.TarInfo(f"{name}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return {"data": str(root / "{000..001}.tar"), "meta": {"label": "class"}, "modalities": {"image": "png"}}


def hugging_face(root: Path, pictures: Any) -> dict[str, Any]:
    datasets = pytest.importorskip("datasets", reason="datasets isn't installed: pip install contrapose[hf]")
    features = datasets.Features({"image": datasets.Image(), "class": datasets.ClassLabel(names=list(CLASSES))})
    rows = {
        "image": [{"bytes": data, "path": f"{name}.png"} for name, _, data, _ in pictures],
        "class": [CLASSES.index(label) for _, label, _, _ in pictures],
    }
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(root / "saved"))
    data = {"use": "hf", "path": str(root / "saved"), "split": "train"}
    return {"data": data, "meta": {"label": "class"}, "modalities": {"image": "image"}}


def streamed(root: Path, pictures: Any) -> dict[str, Any]:
    config = tar_shards(root, pictures)
    data = {"use": "webdataset", "path": config["data"], "streaming": True, "samples": len(pictures)}
    return config | {"data": data}


FORMS: list[Callable[[Path, Any], dict[str, Any]]] = [
    class_folders, one_folder, manifest_of_paths, manifest_of_bytes, tar_shards, hugging_face, streamed,
]  # fmt: skip


@pytest.fixture
def cached(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONTRAPOSE_CACHE", "HF_DATASETS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path_factory.mktemp("cache")))


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_pictures_come_as_they_are_and_train(form: Callable[..., Any], pictures: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    config = {
        "modalities": {"image": None},
        "split": "none",
        "views": {"image": {"use": "image/simclr-cifar", "size": 16}},
        "encoders": {"image": {"use": "image/small", "width": 4}},
        "method": "supcon",
        "train": {"steps": 1, "batch_size": 8, "device": "cpu", "loggers": [], "window": 8},
        **form(tmp_path / "data", pictures),
    }
    if "meta" not in config:
        config["method"] = "simclr"
    splits = Parts(Config.of(config)).splits
    samples = list(splits["train"])
    for sample, (_, _, _, pixels) in zip(samples, pictures, strict=True):
        np.testing.assert_array_equal(sample.data["image"], pixels)
    if "meta" in config:
        codes = [sample.meta["label"] for sample in samples]
        assert len(set(codes)) == 2
        assert codes == sorted(codes) or codes == sorted(codes, reverse=True)
    run = contrapose.train(config, out=tmp_path / "run", quiet=True)
    assert len((run.dir / "metrics.csv").read_text().splitlines()) == 2
    assert not (run.dir / "skipped.csv").exists() or len((run.dir / "skipped.csv").read_text().splitlines()) <= 1
