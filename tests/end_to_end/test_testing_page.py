"""docs/testing.md: its plugin, installed as it stands, passes its tests, and every clause of every contract is told there."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contrapose import testing

TEXT = (Path(__file__).resolve().parents[2] / "docs/testing.md").read_text()
SNIPPETS = re.findall(r"^```python\n# (\S+?),?(?: [^\n]*)?\n(.*?)^```", TEXT, re.M | re.S)


def test_the_pages_plugin_passes_the_pages_tests(tmp_path: Path) -> None:
    files: dict[str, str] = {"acme_pulse/__init__.py": ""}
    for name, code in SNIPPETS:
        files[name] = files.get(name, "") + code + "\n"
    files["acme_pulse-0.1.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: acme-pulse\nVersion: 0.1\n"
    files["acme_pulse-0.1.dist-info/entry_points.txt"] = "[contrapose]\nacme = acme_pulse.plugin\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "CONTRAPOSE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "test_acme.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert re.search(r"^\d+ passed, \d+ skipped", done.stdout, re.M), done.stdout[-3000:]
    held = set(re.findall(r"\((\w+Contract)\)", files["test_acme.py"]))
    assert held == {name for name in testing.__all__ if name.endswith("Contract")} - {"Contract"}


@pytest.mark.parametrize("contract", [c for n, c in vars(testing).items() if n.endswith("Contract")])
def test_the_page_says_what_each_clause_asks(contract: type) -> None:
    page = " ".join(TEXT.split())
    for name in dir(contract):
        if name.startswith("test_"):
            said = " ".join(inspect.cleandoc(getattr(contract, name).__doc__).split())
            assert f"`{name.removeprefix('test_')}`: {said}" in page, f"{contract.__name__}.{name}"
