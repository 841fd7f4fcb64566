"""Every snippet of the README does what it says, on a few rows of the furniture and for a few steps."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML
from tests.end_to_end.commands import contrapose

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
SNIPPETS = FENCE.findall(TEXT)


def snippets(language: str) -> list[str]:
    return [code for name, code in SNIPPETS if name == language]


def parsed(text: str) -> dict:
    return YAML(typ="safe", pure=True).load(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the README's reader sees the repository, with less data and shorter training."""
    here = tmp_path_factory.mktemp("reader")
    data = here / "examples/data/furniture/furniture.parquet"
    data.parent.mkdir(parents=True)
    table = pq.read_table(ROOT / "examples/data/furniture/furniture.parquet")
    pq.write_table(table.take([*range(0, len(table), 8)]), data)
    config = (ROOT / "examples/furniture.yaml").read_text()
    short = re.sub(
        r"^train:.*$", "train: {epochs: 1, batch_size: 16, steps: 2, lr: 1e-3, threads: 1}", config, flags=re.M
    )
    assert short != config
    (here / "examples/furniture.yaml").write_text(short)
    fragment = next(parsed(code) for code in snippets("yaml") if "slice_off" in code)
    YAML().dump(parsed(short) | fragment | {"data": "examples/data/furniture/furniture.parquet"}, here / "mine.yaml")
    for code in snippets("python"):
        if code.startswith("# my_views.py"):
            (here / "my_views.py").write_text(code)
    (here / "my_data").mkdir()
    for i, icon in enumerate(table["icon"].to_pylist()[:24]):
        (here / "my_data" / f"{i}.png").write_bytes(icon)
    return here


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's plugin as pip would install it: its package beside a distribution's metadata."""
    here = tmp_path_factory.mktemp("site")
    package, metadata = here / "contrapose_smell", here / "contrapose_smell-0.1.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").touch()
    for code in snippets("python"):
        if code.startswith(("# smell.py", "# plugin.py")):
            (package / code.split()[1].rstrip(":")).write_text(code)
        elif code.startswith("# test_smell.py"):
            (here / "test_smell.py").write_text(code)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: contrapose-smell\nVersion: 0.1\n")
    points = tomllib.loads(snippets("toml")[0])["project"]["entry-points"]["contrapose"]
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (metadata / "entry_points.txt").write_text(f"[contrapose]\n{lines}")
    return here


def run(command: list[str] | str, place: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        command,
        cwd=place,
        shell=isinstance(command, str),
        text=True,
        capture_output=True,
        env={"PATH": path, "OMP_NUM_THREADS": "1", "HOME": str(place), **environment},
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_first_config_is_the_examples() -> None:
    assert parsed(snippets("yaml")[0]) == parsed((ROOT / "examples/furniture.yaml").read_text())


def test_the_figures_are_those_that_the_demo_wrote() -> None:
    sys.path.insert(0, str(ROOT / "examples"))
    from figures import BETWEEN, FIGURES, FOLDS, render

    found, folds = (json.loads(file.read_text()) for file in (FIGURES, FOLDS))
    shown = BETWEEN.search(TEXT)
    assert shown
    assert shown.group(0) == f"<!-- figures -->\n{render(found, folds)}<!-- /figures -->"
    assert found["command"] == "python examples/demo.py --seeds 0 1 2 --write"
    config = parsed((ROOT / "examples/furniture.yaml").read_text())
    assert found["pairs"] == [p["pair"] if isinstance(p, dict) else p for p in config["method"]["pairs"]]
    recalls = [row for row in found["figures"] if row["metric"] == "R@10"]
    knn = {row["of"]: row for row in found["figures"] if row["metric"] == "kNN"}
    rooms = [knn[row["of"]] for row in recalls]
    assert len(recalls) == 4 * 3
    # By a piece's own modality in the shared space, over the four: above untrained in the mean over seeds, on other pieces in each.
    assert found["rooms"]["of"] == "each → itself"
    assert found["rooms"]["gain"][0] > 0
    assert np.mean(found["rooms"]["trained"]) == pytest.approx(knn["each → itself"]["mean"])
    each = next(row for row in folds["readings"] if row["of"] == "each → itself")
    assert (folds["folds"], folds["seeds"], each["pieces"]) == (3, [0, 1, 2], 615)
    assert min(low for low, _ in [each["gain"], *each["gain by seed"]]) > 0
    for row in recalls + rooms:
        assert row["mean"] > max(row["chance"], row["untrained"]), row["of"]
    together = {frozenset(pair) for pair in found["pairs"]}
    for row in recalls + [row for row in rooms if frozenset(row["of"].split(" → ")) in together]:
        assert row["lowest lower bound of the gain"] > 0, row["of"]
    svm = next(row for row in found["figures"] if (row["metric"], row["of"]) == ("linear SVM", "pointcloud"))
    assert svm["mean"] > svm["untrained"]
    assert sum(row["mean"] for row in recalls) >= 5 * sum(row["chance"] for row in recalls)


def test_commands(place: Path) -> None:
    reports = {}
    for block in snippets("bash"):
        shutil.rmtree(place / "runs", ignore_errors=True)
        for line in filter(str.strip, block.splitlines()):
            began = time.monotonic()
            status, said = contrapose(line, place)
            assert status == 0, f"{line}\n{said}"
            print(f"{time.monotonic() - began:5.1f} s  {line}")
            if line.startswith("contrapose init"):
                drafted = place / "contrapose.yaml"
                drafted.write_text(re.sub(r"epochs: \d+", "epochs: 1", drafted.read_text()))
        reports |= {p.parent.name: p.stat().st_size for p in (place / "runs").glob("*/report.html")}
    assert reports.keys() == {"contrapose", "furniture"}
    assert min(reports.values()) > 50_000
    for picture in ("views.png", "search.png"):
        assert (place / picture).stat().st_size > 10_000
    assert len(pq.read_table(place / "embeddings.parquet")) == len(
        pq.read_table(place / "examples/data/furniture/furniture.parquet")
    )


@pytest.mark.parametrize(
    "code", [c for c in snippets("python") if not c.startswith("# ")], ids=lambda c: c.split("\n")[-2][:20]
)
def test_python(code: str, place: Path) -> None:
    (place / "snippet.py").write_text(code)
    run([sys.executable, "snippet.py"], place)


def test_the_plugin_is_offered_and_passes_the_kit(plugin: Path) -> None:
    assert "smell/nose" in run([sys.executable, "-m", "contrapose", "plugins"], plugin, PYTHONPATH=str(plugin))
    done = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_smell.py"],
        plugin,
        PYTHONPATH=str(plugin),
    )
    assert " passed" in done


def test_the_view_of_ones_own_is_ten_lines_and_runs_unregistered(place: Path) -> None:
    code = (place / "my_views.py").read_text()
    body = code[code.index("@view") :]
    assert len(body.strip().splitlines()) <= 10
    use = (
        "import numpy as np; from contrapose import Sample; from my_views import slice_off\n"
        "p, r = np.random.default_rng(0).normal(size=(100, 3)), np.random.default_rng(1)\n"
        "assert len(slice_off(p, r)) == 100 and len(np.unique(slice_off(p, r), axis=0)) == 70\n"
        "view, = slice_off(share=0.5)(Sample(0, {'pointcloud': p}), r)\n"
        "assert len(np.unique(view.data, axis=0)) == 50\n"
    )
    run([sys.executable, "-c", use], place)


@pytest.mark.parametrize("n", range(1, len(snippets("yaml"))))
def test_the_other_configs_make_a_method(n: int, place: Path) -> None:
    """A fragment laid over the example's config is one that a run could start from."""
    part = parsed(snippets("yaml")[n])
    whole = parsed((place / "examples/furniture.yaml").read_text())
    if "method" in part:
        whole |= {
            "views": {"image": "image/moco-v2"},
            "modalities": {"image": "icon"},
            "encoders": {"image": "image/small"},
        }
    file = place / "examples" / f"fragment{n}.yaml"
    YAML().dump(whole | part, file)
    plugin = "--plugin my_views.py" if "slice_off" in str(part) else ""
    status, said = contrapose(f"contrapose train {file} {plugin} --out runs/fragment{n}", place)
    assert status == 0, said
    assert "step" in said
