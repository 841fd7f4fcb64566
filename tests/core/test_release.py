"""What a release needs: metadata that an index takes, one version everywhere, and targets that any machine can run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from ruamel.yaml import YAML
from tests.core.test_workspace import HOSTS, PUBLISHED, PYPROJECTS, ROOT, project

from contrapose.plugins import API

PYTHONS = ("3.11", "3.12", "3.13")


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.parent.name)
def test_a_distribution_describes_itself(path: Path) -> None:
    about = project(path)
    assert about["license-files"] == ["LICENSE", "NOTICE"]
    assert (path.parent / "NOTICE").read_text() == (ROOT / "NOTICE").read_text(), (
        f"{path.parent}/NOTICE is not the root's"
    )
    assert {f"Programming Language :: Python :: {v}" for v in PYTHONS} <= set(about["classifiers"])
    assert "Typing :: Typed" in about["classifiers"]
    assert not [c for c in about["classifiers"] if c.startswith("License ::")], (
        "an expression and a classifier exclude another"
    )
    assert 20 < len(about["description"]) < 200
    assert list((path.parent / "src").glob("contrapose*/py.typed"))
    readme = (path.parent / about["readme"]).read_text()
    assert readme.startswith(f"# {about['name']}\n")
    assert not re.findall(r"\]\((?![a-z]+:|#)", readme), "a link into the repository leads nowhere on an index"


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.parent.name)
def test_torch_is_capped_below_what_nobody_has_tried(path: Path) -> None:
    (torch,) = (r for r in map(Requirement, project(path)["dependencies"]) if r.name == "torch")
    assert torch.specifier.contains("2.14.1")
    assert torch.specifier.contains("2.11.0")
    assert not torch.specifier.contains("2.15.0")


def test_one_version_is_written_everywhere() -> None:
    version = project(PYPROJECTS[0])["version"]
    assert YAML(typ="safe", pure=True).load(ROOT / "CITATION.cff")["version"] == version
    series = Version(version)
    pin = f">={series.major}.{series.minor},<{series.major}.{series.minor + 1}"
    for path in PUBLISHED[1:]:
        (core,) = (r for r in project(path)["dependencies"] if canonicalize_name(Requirement(r).name) == "contrapose")
        assert core == f"contrapose{pin}", f"{path}: the plugins of this repository go with the core's series"
    assert f"`contrapose>={series.major}.{series.minor},<1`" in (ROOT / "docs/compatibility.md").read_text()


def test_every_plugin_is_of_the_api_that_the_core_has() -> None:
    plugins = sorted(ROOT.glob("plugins/*/src/*/plugin.py"))
    assert len(plugins) == len(PUBLISHED) - 1
    for plugin in plugins:
        assert re.search(rf"^CONTRAPOSE_API = {API}$", plugin.read_text(), re.M), plugin
    assert (ROOT / f"tests/compat/plugin_api_{API}/pyproject.toml").is_file(), "keep a plugin of each API number"
    assert (ROOT / f"tests/compat/api_{API}.txt").is_file()


def test_no_target_names_a_host() -> None:
    for path in (ROOT / "Makefile", *(ROOT / ".ci").iterdir()):
        text = path.read_text()
        assert not HOSTS.search(text), path
        assert not re.search(r"https?://", text), path
