"""The documents: their links lead somewhere, and the code that they show is at least code. (``make docs`` runs this alone.)"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = {".venv", "runs", "build", "node_modules", "bench-results"}
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in HIDDEN or part.startswith(".") for part in path.relative_to(ROOT).parts)
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", re.M | re.S)


def heading_anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


def snippets(language: set[str]) -> list[tuple[str, str]]:
    found = []
    for path in DOCUMENTS:
        for k, (indent, name, code) in enumerate(FENCE.findall(path.read_text()), 1):
            if name in language:
                found.append((f"{path.relative_to(ROOT)}, snippet {k}", re.sub(rf"^{indent}", "", code, flags=re.M)))
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path):
    for link in (a or b for a, b in LINK.findall(FENCE.sub("", path.read_text()))):
        if re.match(r"[a-z]+:", link):
            continue  # elsewhere: the network is not ours to test
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link}: nothing there"
        if anchor and target.suffix == ".md":
            assert anchor in heading_anchors(target.read_text()), f"{link}: no such heading"


def test_the_tests_of_faults_are_there():
    text = (ROOT / "docs/reliability.md").read_text()
    named = re.findall(r"`((?:tests/\w+/)?test_\w+\.py)`", text)
    assert len(named) >= 15
    for name in named:
        assert (ROOT / (name if "/" in name else f"tests/faults/{name}")).is_file(), name


def test_python_snippets_compile():
    for where, code in snippets({"python", "py"}):
        try:
            compile(code, where, "exec")
        except SyntaxError as error:
            pytest.fail(f"{where}: {error}")


def test_yaml_snippets_parse():
    for where, code in snippets({"yaml", "yml"}):
        try:
            YAML(typ="safe", pure=True).load(code)
        except Exception as error:
            pytest.fail(f"{where}: {error}")


def test_shell_snippets_parse():
    for where, code in snippets({"bash", "sh", "shell"}):
        done = subprocess.run(["bash", "-n"], input=code, text=True, capture_output=True)
        assert done.returncode == 0, f"{where}: {done.stderr}"


def test_a_contributor_is_told_how_to_install():
    """`.ci/run` runs what stands between the marks."""
    told = (ROOT / "README.md").read_text().split("<!-- contributors -->")[1].split("<!-- /contributors -->")[0]
    assert "make venv" in told
