"""The core's heads, relations, sources and evaluators under the contracts of plugins."""

from __future__ import annotations

from typing import Any

from contrapose.testing import EvaluatorContract, HeadContract, RelationContract, SourceContract

QUEUE: dict[str, Any] = {"queue": {"use": "queue", "of": "key", "size": 6}}
BOTH = ["query", "key"]


class TestHeads(HeadContract):
    specs = {"mlp": {"out": 4}, "linear": {"out": 4}, "slice": {"out": 4}}


class TestDeepHead(HeadContract):
    spec = "mlp"
    arguments = {"layers": 3, "hidden": 6, "out": 4, "last": "plain", "activation": "gelu"}


class TestForecast(HeadContract):
    spec = "forecast"
    arguments = {"out": 4, "steps": 2, "hidden": 4}
    places = 5


class TestAssigners(RelationContract):
    specs = {
        "softmax": {"of": "other", "to": "prototypes"},
        "sinkhorn": {"of": "other", "to": "prototypes", "queue": "queue"},
    }


class TestVonMises(RelationContract):
    spec = "von-mises"
    arguments = {"query": "online", "key": "other"}


class TestTopK(RelationContract):
    spec = "top-k"
    arguments = {"query": "online", "keys": ["other", "queue"], "count": 2}


class TestMatch(RelationContract):
    spec = "match"
    arguments = {"query": "places", "key": "other_places"}
    term = {
        "query": "places",
        "keys": ["other_places"],
        "positives": "same(sample) and same(found, to=position)",
    }


class TestStored(SourceContract):
    specs = {
        "queue": {"of": "key", "size": 6},
        "prototypes": {"of": "key", "count": 5},
        "centres": {"of": "key", "counts": 3},
    }


class TestBank(SourceContract):
    spec = "bank"
    arguments = {"of": "key"}
    tables = ("", "batch")


class TestEma(SourceContract):
    spec = "ema"
    arguments = {"of": "prototypes"}
    sources = {"prototypes": {"use": "prototypes", "of": "key", "count": 5}}


class TestCentroids(SourceContract):
    spec = "centroids"
    arguments = {"of": "key", "counts": [2, 3]}
    tables = ("0", "1")


class TestMadeOfTheStep(SourceContract):
    specs = {"mean": {"of": "key"}, "product": {"of": BOTH}, "combinations": {"of": BOTH}}


class TestMeanByAColumn(SourceContract):
    spec = "mean"
    arguments = {"of": "key", "by": "label"}


class TestTuples(SourceContract):
    spec = "stack"
    arguments = {"of": BOTH}
    term = {"keys": ["it"], "similarity": "volume", "positives": "same(sample)"}


class TestAligned(SourceContract):
    spec = "aligned"
    arguments = {"of": BOTH}
    tables = ("0", "1")


class TestExtrapolated(SourceContract):
    spec = "extrapolated"
    arguments = {"query": "query", "key": "key"}
    tables = ("query", "key")


class TestMadeOfAQueue(SourceContract):
    specs = {
        "union": {"of": ["key", "queue"]},
        "drawn": {"of": "queue", "count": 3, "query": "query"},
        "interpolated": {"of": "queue"},
        "synthetic": {"query": "query", "of": "queue", "hardest": 3, "mixed": 2, "with_query": 1},
        "hardest-mixes": {"query": "query", "of": "queue", "easiest": 3, "rounds": 2, "hardest": 2},
    }
    sources = QUEUE


class TestEvaluators(EvaluatorContract):
    specs: dict[str, dict[str, Any]] = {
        "retrieval": {},
        "knn": {},
        "linear": {},
        "svm": {},
        "geometry": {},
        "label-retrieval": {},
    }
