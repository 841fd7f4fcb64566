"""``contrapose new-plugin``: what it writes is installed, tested and trained with, as it stands."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.end_to_end.newcomer import ROOT, Newcomer
from tests.end_to_end.transcript import follow

from contrapose.cli import main
from contrapose.plugins import API
from contrapose.scaffold.new import Names, new_plugin, releases, template

README = (ROOT / "README.md").read_text()
TOKENS = re.compile(r"my[-_]?(plugin|modality|range)", re.I)


def made(folder: Path, name: str = "acme-thermal", modality: str | None = None) -> Path:
    new_plugin(Names.of(name, modality), folder)
    return folder


def files(project: Path) -> list[Path]:
    """Those that aren't left by installing, testing and training."""
    left = ("__pycache__", ".egg-info", ".pytest_cache", "runs")
    return [p for p in project.rglob("*") if p.is_file() and not any(str(part).endswith(left) for part in p.parts)]


def installed(project: Path) -> dict[str, str]:
    """The environment of a process that finds the project as pip would have installed it."""
    said = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    metadata = project / "src" / f"{said['name'].replace('-', '_')}-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {said['name']}\nVersion: 0.1.0\n")
    points = said["entry-points"]["contrapose"]
    (metadata / "entry_points.txt").write_text("[contrapose]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(project / "src"), *filter(None, sys.path)])}


def test_its_own_tests_pass(tmp_path: Path) -> None:
    project = made(tmp_path / "acme-thermal")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=installed(project),
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 70  # type: ignore[index]


def test_every_name_is_filled_in(tmp_path: Path) -> None:
    project = made(tmp_path / "x", "Acme.Heat_maps", "heat-map")
    texts = {p: p.read_text() for p in project.rglob("*") if p.is_file() and p.suffix != ".npz"}
    assert len(texts) == len(list(template()))
    for path, text in texts.items():
        assert not TOKENS.search(text), path
        assert not TOKENS.search(str(path.relative_to(project))), path
    plugin = texts[project / "src/acme_heat_maps/plugin.py"]
    assert f"\nCONTRAPOSE_API = {API}\n" in plugin
    assert '"acme_heat_maps.modality:HeatMapModality"' in plugin
    said = tomllib.loads(texts[project / "pyproject.toml"])["project"]
    assert said["name"] == "acme-heat-maps"
    assert said["entry-points"]["contrapose"] == {"heat-map": "acme_heat_maps.plugin"}
    assert "license" not in said


def test_the_pin_is_to_releases_of_one_api() -> None:
    """Which docs/compatibility.md tells plugins to pin."""
    assert (releases("0.1.0"), releases("1.4.2"), releases("0.2.0.dev1")) == (">=0.1,<1", ">=1.4,<2", ">=0.2,<1")
    assert f"`contrapose{releases('0.1.0')}` in its `dependencies`" in (ROOT / "docs/compatibility.md").read_text()


def test_what_it_imports_is_declared(tmp_path: Path) -> None:
    """Borrowed environments hold whatever the core needs, so that no import shows what is missing."""
    project = made(tmp_path / "acme-thermal")
    said = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[\w-]+", line)[0] for line in said["dependencies"]}  # type: ignore[index]
    imported = {name for file in project.rglob("*.py") for name in imports(file.read_text())}
    assert imported - sys.stdlib_module_names - {"acme_thermal"} == declared


def imports(code: str) -> Iterator[str]:
    """The packages that code imports, wherever in it."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize(("name", "modality"), [("a-b", None), ("acme-quite-long-words", "quite-long-words-indeed")])
def test_it_keeps_its_own_rules_and_form(tmp_path: Path, name: str, modality: str | None) -> None:
    project = made(tmp_path / "x", name, modality)
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=project, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["acme thermal"], "'acme thermal' can't be a distribution"),
        (["-o", "x", "acme-"], "'acme-' can't be a distribution"),
        (["../acme"], "'../acme' can't be a distribution"),
        (["3d"], "'3d' can't be imported by Python"),
        (["class"], "'class' can't be imported by Python"),
        (["json"], "there is a package 'json' already"),
        (["numpy"], "there is a package 'numpy' already"),
        (["acme-3d"], "'3d' can't be a modality: small letters and digits, as in --modality thermal"),
        (["acme-x", "--modality", "Heat"], "'Heat' can't be a modality"),
        (["acme-x", "--modality", "a/b"], "'a/b' can't be a modality"),
        (["acme-tabular"], "offers the modality 'tabular'; choose another by --modality"),
        (["acme-there"], "acme-there is there already; give another folder with -o"),
        (["acme-x", "-o", "file/x"], "can't write file/x: "),
    ],
)
def test_a_name_that_cant_be_is_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme-there").mkdir()
    (tmp_path / "file").write_text("kept")
    assert main(["new-plugin", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["acme-there", "file"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_beside_wheels_in_an_environment_of_its_own(tmp_path: Path) -> None:
    new = Newcomer(tmp_path, "core")
    where = "import contrapose; print(contrapose.__file__)"
    core = Path(new.run(["python", "-c", where], tmp_path).strip())
    assert core.is_relative_to(tmp_path / "venv")
    commands = follow(README.partition("## A modality of your own")[2].partition("No core file")[0], tmp_path, new.run)
    assert [command.split("#")[0].split() for command in commands] == [
        ["contrapose", "new-plugin", "acme-thermal"],
        ["pip", "install", "-e", "'./acme-thermal[test]'"],
        ["pytest", "acme-thermal"],
    ]
    project = tmp_path / "acme-thermal"
    here = made(tmp_path / "here")
    assert {p.relative_to(project) for p in files(project)} == {p.relative_to(here) for p in files(here)}
    assert "saved in runs/example" in new.run("contrapose train example.yaml", project)
    assert "no issues found" in new.run("mypy src", project)
    assert "thermal/small" in new.run("contrapose plugins", project)
    assert "broken" not in new.run("contrapose plugins", project)

    # Without the sources beside it: the wheel holds all that it needs.
    new.pip("uninstall", "-y", "acme-thermal")
    new.pip("wheel", "--no-deps", "-w", str(tmp_path), str(project))
    new.pip("install", str(next(tmp_path.glob("acme_thermal-*.whl"))))
    shutil.rmtree(project / "src")
    assert "saved in" in new.run("contrapose train example.yaml --out runs/wheel --set train.epochs=1", project)

    new.pip("uninstall", "-y", "acme-thermal")
    assert "thermal" not in new.run("contrapose plugins", project)
    gone = new.run("contrapose train example.yaml --out runs/gone", project, code=1)
    assert gone.count("\n") == 1
    assert "modality 'thermal' is not installed" in gone
