"""Every method preset under the contract of plugins' presets."""

from __future__ import annotations

from typing import Any

from contrapose.plugins import registry
from contrapose.testing import MethodContract

OTHERWISE = ("pair-graph", "cpc", "swav", "gram", "symile", "m5product")


class TestPresets(MethodContract):
    specs: dict[str, dict[str, Any]] = {
        o.name: {} for o in registry().offers("method") if o.prefix is None and o.name not in OTHERWISE
    }


class TestPairGraph(MethodContract):
    spec = "pair-graph"
    published = False


class TestForecasts(MethodContract):
    spec = "cpc"
    arguments = {"branches": {"context": {"predictor": {"steps": 1}}}}


class TestSwav(MethodContract):
    spec = "swav"
    arguments = {"sources": {"prototypes": {"frozen": None}, "past": {"start": None, "full": False}}}


class TestOfOneViewEach(MethodContract):
    specs: dict[str, dict[str, Any]] = {"gram": {}, "symile": {}, "m5product": {}}
    views = 1
