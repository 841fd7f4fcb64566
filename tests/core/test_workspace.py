"""What holds of the repository as a whole: the core's neutrality, its distributions, and what may be in a tracked file."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "src" / "contrapose"
PYPROJECTS = [ROOT / "pyproject.toml", ROOT / "core/pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
PUBLISHED = PYPROJECTS[1:]

MODALITY = re.compile(
    r"(?<![a-z])(images?|videos?|audio|pixels?|point_?clouds?|tabular|rgb)(?![a-z])(?!/(png|jpeg|svg|gif|wav|\*))"
)
"""A modality's name as a word of its own. MIME types (``image/png``) are how a preview is handed over, so they may stay."""

HOSTS = re.compile(r"\b(pypi|pythonhosted|npmjs|debian)\.(org|com)\b|--(extra-)?index-url|--trusted[-]host", re.I)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:work|root|home|opt)/[a-z]")
LIMIT = 40 * 2**20


def project(path: Path) -> dict:
    return tomllib.loads(path.read_text())["project"]


def tracked() -> list[Path]:
    """What is committed or would be."""
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def code_of(path: Path) -> list[tuple[int, str]]:
    """The names and strings of a module with their lines, comments and docstrings apart."""
    text = path.read_text()
    prose = {
        (node.value.lineno, node.value.col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(t.start[0], t.string) for t in tokens if t.type != tokenize.COMMENT and t.start not in prose]


def lines_of(path: Path) -> list[tuple[int, str]]:
    return [(n, line.split("#")[0]) for n, line in enumerate(path.read_text().splitlines(), 1)]


def test_the_core_names_no_modality():
    found = []
    for path in sorted(CORE.rglob("*.py")) + sorted(CORE.rglob("*.yaml")):
        for line, code in code_of(path) if path.suffix == ".py" else lines_of(path):
            if match := MODALITY.search(code.lower()):
                found.append(f"{path.relative_to(ROOT)}:{line}: {match[1]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("image_size", True),
        ("load_images", True),
        ("RGB", True),
        ("imagenary", False),
        ("image/png", False),
        ("image/simclr", True),
    ],
)
def test_what_counts_as_naming_a_modality(code: str, named: bool):
    assert bool(MODALITY.search(code.lower())) is named


def test_all_distributions_carry_one_version_and_ask_for_it():
    version = project(PYPROJECTS[0])["version"]
    assert {p.parent.name: project(p)["version"] for p in PYPROJECTS} == {p.parent.name: version for p in PYPROJECTS}
    for path in PUBLISHED[1:]:
        wants = [Requirement(r) for r in project(path)["dependencies"]]
        core = [r for r in wants if canonicalize_name(r.name) == "contrapose"]
        assert core, f"{path} does not depend on contrapose"
        assert core[0].specifier.contains(version), f"{path}: {core[0]} excludes {version}"


def test_every_distribution_is_licensed_and_can_be_described():
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    for path in PUBLISHED:
        about = project(path)
        assert about["license"] == "Apache-2.0"
        assert about["requires-python"] == ">=3.11"
        assert (path.parent / about["readme"]).is_file()
        assert (path.parent / "LICENSE").read_text() == licence, f"{path.parent}/LICENSE is not the root's"


def test_every_dependency_has_its_line_of_reasons():
    table = (ROOT / "docs" / "dependencies.md").read_text()
    explained = {canonicalize_name(name) for name in re.findall(r"^\| `([^`]+)` \|", table, re.M)}
    ours = {canonicalize_name(project(p)["name"]) for p in PYPROJECTS}
    wanted: set[str] = set()
    for path in PYPROJECTS:
        about = project(path)
        groups = [about.get("dependencies", []), *about.get("optional-dependencies", {}).values()]
        wanted |= {canonicalize_name(Requirement(r).name) for group in groups for r in group}
    assert wanted - ours - explained == set(), "without a line in docs/dependencies.md"
    assert explained - wanted == set(), "in docs/dependencies.md, but no longer a dependency"
    assert "AGPL" not in table


def test_every_dependency_is_pinned_for_contributors():
    pinned = {canonicalize_name(Requirement(r).name) for _, r in lines_of(ROOT / "constraints.txt") if r.strip()}
    ours = {canonicalize_name(project(p)["name"]) for p in PYPROJECTS}
    for path in PYPROJECTS:
        wanted = {canonicalize_name(Requirement(r).name) for r in project(path).get("dependencies", [])}
        assert wanted - ours <= pinned, f"{path}: not in constraints.txt"


def test_no_tracked_file_names_a_host_or_a_path_of_one_machine():
    found = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for n, line in enumerate(text.splitlines(), 1):
            if match := HOSTS.search(line) or MACHINE_PATHS.search(line):
                found.append(f"{path.relative_to(ROOT)}:{n}: {match[0]}")
    assert not found, "\n".join(found)


def test_the_tree_stays_small():
    sizes = {path: path.stat().st_size for path in tracked()}
    largest = ", ".join(str(p.relative_to(ROOT)) for p in sorted(sizes, key=sizes.get, reverse=True)[:3])
    assert sum(sizes.values()) < LIMIT, f"{sum(sizes.values()) / 2**20:.0f} MiB are tracked; the largest: {largest}"
