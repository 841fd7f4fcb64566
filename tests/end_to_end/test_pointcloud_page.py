"""docs/pointcloud.md is followed as it stands, on some of the furniture."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from tests.end_to_end.test_author_pages import here
from tests.end_to_end.transcript import FENCE, follow

from contrapose.config import Config, build
from contrapose.engine.build import Parts
from contrapose.engine.recipe import with_recipe

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/pointcloud.md").read_text()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with some of the furniture."""
    pytest.importorskip("open3d", exc_type=ImportError)
    whole = pq.read_table(ROOT / "examples/data/furniture/furniture.parquet", columns=["cloud", "split"])
    pq.write_table(whole.slice(0, 80), tmp_path / "furniture.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTRAPOSE_CACHE", str(tmp_path / "caches"))
    return tmp_path


@pytest.mark.slow
def test_the_page_is_followed(place: Path) -> None:
    done = follow(TEXT, place, lambda *a: here(*a) and "")
    assert [command.split()[0] for command in done] == ["python", "contrapose", "contrapose", "python"]
    assert (place / "views.png").exists()
    assert (place / "runs/rendered/config.yaml").exists()


def test_its_snippets_run(place: Path) -> None:
    """In this process: what it shows of Python, its config up to a batch, the arguments of its modality."""
    for language, text in FENCE.findall(TEXT):
        if language == "python":
            exec(compile(text, "docs/pointcloud.md", "exec"), {})
        elif text.startswith("# rendered.yaml"):
            (place / "rendered.yaml").write_text(text)
            config = Config.load(place / "rendered.yaml", ["train.workers=0", "train.device=cpu"])
            batch = next(iter(Parts(with_recipe(config)).train_loader()))
            assert {name: tuple(v.data.shape) for name, v in batch.views.items()} == {
                "pointcloud/0": (16, 256, 3),
                "image/0": (16, 3, 48, 48),
            }
        elif language == "yaml":
            said = YAML(typ="safe", pure=True).load(text)["modalities"]["pointcloud"]
            assert said.pop("columns") == "shape"
            assert build("modality", {"use": "pointcloud", **said}).facts()["channels"] == 9
    assert (place / "picture.png").exists()
    assert list((place / "my-cache").rglob("*.npz"))
    assert (place / "caches/pointcloud").is_dir()
