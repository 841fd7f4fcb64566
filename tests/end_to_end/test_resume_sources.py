"""A run with any source resumes in the same bits, in the middle of an epoch and across epochs; and the assertion can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.end_to_end.waves import Echo, Net, write_project
from torch import nn

from contrapose.config import Config
from contrapose.plugins import configure, registry
from contrapose.sources.base import Source
from contrapose.testing import assert_resume_exact

WAVES = Path(__file__).with_name("waves.py")
ONE = {"modalities": {"wave": "wave"}, "views": {"wave": "wobble"}, "encoders": {"wave": "wave-net"}}
THREE = {
    "modalities": {"wave": "wave", "echo": "echo", "chirp": "echo"},
    "views": {"wave": "wobble", "echo": "hiss"},
    "encoders": {"wave": "wave-net", "echo": "echo-net", "chirp": Net("chirp")},
}
QUEUE = {"queue": {"size": 24}}
UNION = {
    "slots": ["query", "key"],
    "branches": {
        "online": {"views": "query", "projector": {"use": "mlp", "out": 8}},
        "key": {"views": "key", "of": "online", "weights": "ema", "momentum": 0.9},
    },
    "sources": {"queue": {"use": "queue", "of": "key", "size": 24}, "both": {"use": "union", "of": ["key", "queue"]}},
    "terms": {"t": {"query": "online", "keys": ["both"], "positives": "same(sample)", "denominator": "all"}},
}
CODES = {
    "slots": ["query"],
    "branches": {"online": {"views": "*", "projector": {"use": "mlp", "out": 8}}},
    "sources": {
        "codes": {"use": "audio/quantiser", "of": "online", "entries": 3, "width": 4, "out": 8},
        "candidates": {"use": "audio/candidates", "of": "codes", "query": "online", "count": 3},
    },
    "terms": {
        "t": {
            "query": "online",
            "keys": ["codes", "candidates"],
            "positives": "same(sample) and origin(codes)",
            "denominator": "all",
        }
    },
}
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dino": ({"sources": {"prototypes": {"count": 12}}}, ONE),
    "swav": ({"sources": {"prototypes": {"count": 12}, "past": {"size": 24, "start": None}}}, ONE),
    "pcl": ({"sources": {"centroids": {"counts": [3, 4, 5], "start": {"epochs": 1}}, **QUEUE}}, ONE),
    "mochi": ({"sources": {"mixes": {"hardest": 8, "mixed": 6, "with_query": 3, "start": None}, **QUEUE}}, ONE),
    "paco": ({"sources": {"centres": {"counts": 4}, **QUEUE}}, ONE),
    "npid": ({"negatives": 5}, ONE),
    "ft": ({"sources": QUEUE}, ONE),
    "ncl": ({"sources": {"mixes": {"easiest": 4, "rounds": 2, "hardest": 5, "start": None}, **QUEUE}}, ONE),
    "mmcr": ({"branches": {"online": {"projector": {"hidden": 32, "out": 8}}}}, ONE),
    "cmc-bank": ({"modalities": ["wave", "echo"], "negatives": 5}, {}),
    "m5product": ({"modalities": ["wave", "echo"]}, {}),
    "symile": ({"modalities": ["wave", "echo", "chirp"]}, THREE),
    "gram": ({"anchor": "wave", "others": ["echo", "chirp"]}, THREE),
    "a union": (UNION, ONE),
    "codebooks": (CODES, ONE),
}


class Chirp(Echo):
    """A third modality."""

    name = "chirp"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    configure().load_file(WAVES)
    registry().add("modality", "chirp", Chirp)
    yield write_project(tmp_path / "project")
    configure()


def config(project: Path, method: Any, changes: dict[str, Any]) -> Config:
    tree = {**Config.load(project).data, **changes, "method": method, "data": str(project.parent / "things.jsonl")}
    return Config.of({k: v for k, v in tree.items() if v is not None})


@pytest.mark.parametrize("name", METHODS)
def test_a_run_with_any_source_resumes_exactly(name: str, project: Path) -> None:
    node, changes = METHODS[name]
    method = node if "terms" in node else {"use": name, **node}
    assert_resume_exact(config(project, method, changes), steps=12, stop=7)


def test_all_sources_are_among_them() -> None:
    used = {"queue"}
    for name, (node, _) in METHODS.items():
        preset = node if "terms" in node else registry().load("method", name)
        if callable(preset):
            preset = preset(**node)
        used |= {source["use"] for source in preset["sources"].values()}
    assert used == {offer.name for offer in registry().offers("source")}


class Forgetful(Source):
    """The mean of the last step's keys, in a buffer that no checkpoint holds."""

    persistent = False

    def __init__(self, of: str) -> None:
        super().__init__()
        self.refs = (of,)
        self.register_buffer("last", torch.zeros(8), persistent=self.persistent)

    def rows(self, out, table=""):
        rows = out.rows(self.refs[0], "global").detach().take(slice(0, 1))
        rows.z = (self.last + 1e-3)[None]
        rows.replicated = True
        return rows

    def commit(self, out):
        self.last = out.rows(self.refs[0], "global").z.mean(0)


class Mindful(Forgetful):
    """The same, kept."""

    persistent = True


@pytest.mark.parametrize(("source", "keeps"), [(Forgetful, False), (Mindful, True)])
def test_a_source_that_forgets_is_found(source: type[Source], keeps: bool, project: Path) -> None:
    registry().add("source", "last", source)
    tree = Config.load(project).data["method"]
    tree["sources"]["last"] = {"use": "last", "of": "key"}
    tree["terms"]["info_nce"] |= {"keys": ["key", "queue", "last"], "denominator": "not same(sample) or origin(key)"}
    if keeps:
        assert_resume_exact(config(project, tree, {}), steps=4, stop=2)
        return
    with pytest.raises(AssertionError, match=r"resumed after step 2, loss of step 3 is .*persistent buffers"):
        assert_resume_exact(config(project, tree, {}), steps=4, stop=2)


class Counting(nn.Module):
    """A net that counts its steps in an attribute; only its weights tell."""

    modality, dims = "wave", {"pooled": 8}

    def __init__(self):
        super().__init__()
        self.net, self.steps = nn.Linear(32, 8), 0

    def forward(self, data):
        self.steps += self.training
        return {"pooled": self.net(data) + 0.01 * self.steps}


def test_objects_in_a_config_are_copied_for_each_run(project: Path) -> None:
    changes = {**ONE, "encoders": {"wave": Counting()}}
    with pytest.raises(AssertionError, match="resumed after step 2"):
        assert_resume_exact(config(project, "simclr", changes), steps=4, stop=2)
    with pytest.raises(ValueError, match="stop=4 doesn't lie between 0 and steps=4"):
        assert_resume_exact(config(project, "simclr", changes), steps=4, stop=4)
