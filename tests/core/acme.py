"""A distribution that exists in a test alone: it offers a modality, an encoder and methods."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from contrapose.plugins import API, configure

PLUGIN = """
from contrapose import Spec, hookimpl
{first}
CONTRAPOSE_API = {api}
@hookimpl
def register_modalities():
    return [Spec({name}, {target}, {summary}, requires={requires}, modality="pulse")]
@hookimpl
def register_encoders():
    return [Spec("net", "tests.core.pulses:Net", "a net", modality={encoder_modality})]
@hookimpl
def register_methods():
    return [
        Spec("tiny", {tiny_target}, {tiny_summary}, paper={paper}),
        Spec("duo", "acme_parts:duo", "of a width", paper="Nobody 2020", example={duo_example}),
    ]
"""
SAID = {
    "first": "",
    "api": str(API),
    "name": "'pulse'",
    "target": "'acme_parts:Pulse'",
    "summary": "'pulses'",
    "requires": "()",
    "encoder_modality": "'pulse'",
    "tiny_target": "'acme_presets:tiny.yaml'",
    "tiny_summary": "'a tiny one'",
    "paper": "'Nobody 2020'",
    "duo_example": "'out: 4'",
}
# Light where a fresh process imports it: it is this import that the check must see, not torch's.
PARTS = """
import sys
if 'torch' in sys.modules:
    from tests.core.pulses import Pulse
def duo(out: int) -> dict:
    '''A method of a width.'''
    branches = {"online": {"views": "*", "projector": {"use": "linear", "out": out}}}
    return {"branches": branches, "terms": {"it": {"query": "online", "keys": ["online"]}}}
"""
TINY = """branches: {online: {views: "*", projector: {use: linear, out: 4}}}
terms: {it: {query: online, keys: [online]}}
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **said: str) -> None:
    """Put the distribution into a folder of its own on the path, with something else said in its plugin module."""
    info = folder / "acme_pulse-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-pulse\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[contrapose]\nacme = acme_plugin\n")
    (folder / "acme_plugin.py").write_text(PLUGIN.format(**{**SAID, **said}))
    (folder / "acme_parts.py").write_text(PARTS)
    presets = folder / "acme_presets"
    presets.mkdir()
    (presets / "__init__.py").write_text("")
    (presets / "tiny.yaml").write_text(TINY)
    (presets / "long.yaml").write_text(TINY + "# more\n" * 40)
    monkeypatch.syspath_prepend(str(folder))
    for module in ("acme_plugin", "acme_parts", "acme_presets"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    configure()
