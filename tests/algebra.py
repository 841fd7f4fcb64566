"""Sixteen hard methods as data, on a toy modality in float64, each with what an independent reference says it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from contrapose import Method, registry
from contrapose.draws import keyed_uniform
from contrapose.types import Batch, Rows, ViewBatch, ident
from tests.reference import formulas as ref

FEATURES, POSITIONS, WIDTH, CLASSES = 5, 4, 6, 3


class Net(nn.Module):
    """(n, P, F) to a pooled and a dense tap."""

    def __init__(self, modality: str, seed: int = 0) -> None:
        super().__init__()
        self.modality, self.dims = modality, {"pooled": WIDTH, "dense": WIDTH}
        weight = torch.randn(WIDTH, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.weight = nn.Parameter(weight)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        h = torch.tanh(data @ self.weight.T)
        return {"pooled": h.mean(1), "dense": h}


def batch(
    names: Sequence[str], count: int = 7, seed: int = 0, missing: Mapping[str, Sequence[int]] | None = None
) -> Batch:
    """A batch of random data; ``missing``: positions that lack a modality."""
    g = torch.Generator().manual_seed(seed)
    sample = 100 * seed + torch.randperm(count, generator=g)
    views = {}
    for name in names:
        modality = name.partition("/")[0]
        gone = (missing or {}).get(modality, ())
        index = torch.tensor([i for i in range(count) if i not in gone], dtype=torch.int64)
        data = torch.randn(count, POSITIONS, FEATURES, generator=g, dtype=torch.float64)
        views[name] = ViewBatch(data[index] if len(index) else None, modality, index)
    return Batch(sample, views, {"label": torch.randint(0, CLASSES, (count,), generator=g)})


def merge(base: Any, changes: Any) -> Any:
    """A preset with changes laid over it."""
    if isinstance(base, Mapping) and isinstance(changes, Mapping):
        return {
            k: merge(base[k], changes[k]) if k in base and k in changes else changes.get(k, base.get(k))
            for k in {**base, **changes}
        }
    return changes


def preset(name: str, **changes: Any) -> dict[str, Any]:
    """A core preset, with changes."""
    found = registry().load("method", name)
    return merge(found, changes)  # type: ignore[no-any-return]


HEAD = {"use": "mlp", "hidden": 8, "out": 4, "norm": "none"}


@dataclass
class Step:
    """A method before its second step, and that step's batch."""

    method: Method
    batch: Batch
    tables: dict[str, Rows]

    def z(self, table: str, view: str | None = None) -> Tensor:
        rows = self.tables[table]
        return rows.z if view is None else rows.z[rows.meta["view"] == ident(view)]

    def source(self, name: str, buffer: str = "z") -> Tensor:
        source = self.method.sources[name]
        stored = source.get_buffer(buffer)
        return stored[: int(source.filled)] if buffer != "weight" and hasattr(source, "filled") else stored


@dataclass
class Case:
    """A method as data, its views, and its reference."""

    data: Callable[[], dict[str, Any]]
    views: tuple[str, ...]
    reference: Callable[[Step], Tensor]
    before: Callable[[Method], None] = lambda method: None
    modalities: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.modalities = tuple(dict.fromkeys(v.partition("/")[0] for v in self.views))

    def method(self) -> Method:
        torch.manual_seed(0)
        method = Method.from_data(self.data(), {m: Net(m, n) for n, m in enumerate(self.modalities)}).double()
        method.clock.start(steps_per_epoch=10, epochs=3)
        return method


TWO, QK, CROPS = (
    ("pulse/a", "pulse/b"),
    ("pulse/query", "pulse/key"),
    ("pulse/global_0", "pulse/global_1", "pulse/local_0", "pulse/local_1"),
)
ONLINE = {"branches": {"online": {"projector": HEAD}}}


def _moco(s: Step) -> tuple[Tensor, Tensor, Tensor]:
    return s.z("online"), s.z("key"), s.source("queue")


def _dino(s: Step) -> Tensor:
    relation = s.method.terms["distil"].relation
    c, t = ref.unit(s.method.sources["prototypes"].weight), ref.unit(s.method.sources["targets"].weight)
    student = [ref.unit(s.z("student", v)) @ c.T for v in CROPS]
    teacher = [ref.unit(s.z("teacher", v)) @ t.T for v in CROPS[:2]]
    tau = s.method.clock.at({"linear": [0.04, 0.07], "epochs": 30})
    return ref.dino(student, teacher, relation.assigner.centre, 0.1, tau)


def _swav(s: Step) -> Tensor:
    stored, view = s.source("past"), s.source("past", "column view")
    old = [stored[view == ident(v)] for v in CROPS[:2]]
    assert all(len(o) for o in old)
    return ref.swav(
        [s.z("online", v) for v in CROPS], s.method.sources["prototypes"].weight, old, 0.1, 0.05, 3, assign=2
    )


def _cluster(method: Method) -> None:
    g = torch.Generator().manual_seed(5)
    sample = torch.arange(110)
    z = torch.randn(110, 4, generator=g, dtype=torch.float64)
    method.epoch(lambda name: Rows(z, {"sample": sample}))


def _pcl(s: Step) -> Tensor:
    levels, ids = range(3), s.tables["online"].meta["sample"]
    take = s.method.sources["centroids"].get_buffer
    return ref.proto_nce(
        *_moco(s),
        [take(f"centres {n}") for n in levels],
        [take(f"assigned {n}")[ids] for n in levels],
        [take(f"density {n}") for n in levels],
        0.2,
    )


def _densecl(s: Step) -> Tensor:
    def grid(table: str) -> Tensor:
        return s.z(table).unflatten(0, (-1, POSITIONS))

    return ref.densecl(
        s.z("online"), s.z("key"), grid("dense"), grid("dense_key"), grid("online.dense"), grid("key.dense"),
        s.source("queue"), s.source("dense_queue"), 0.2, 0.5,
    )  # fmt: skip


def _mochi(s: Step) -> Tensor:
    q, k, queue = _moco(s)
    rows, top, mixed, own = s.tables["online"], 5, 6, 3
    u = keyed_uniform([rows.meta[c] for c in ("sample", "view", "position")], 3 * mixed + 2 * own, 0, 1, ident("mixes"))
    first, second, alpha, third, beta = u.split([mixed, mixed, mixed, own, own], 1)
    pairs = torch.stack([(first * top).long(), (second * top).long()], -1)
    synthetic = ref.mochi_synthetic(q, queue, top, pairs, alpha, (third * top).long(), beta * 0.5)
    return ref.mochi(q, k, queue, synthetic, 0.2)


def _paco(s: Step) -> Tensor:
    q, k, queue = _moco(s)
    centres = s.method.sources["centres"]
    logits = s.z("online.pooled") @ centres.weight.T
    labels = s.batch.meta["label"]
    return ref.paco(q, k, queue, labels, s.source("queue", "column label"), logits, centres.log_prior.exp(), 0.2, 0.05)


def _gram(s: Step) -> Tensor:
    return ref.gram(s.z("text"), [s.z("video"), s.z("sound")], 0.07, smoothing=0.0, eps=1e-8)


def _vime(s: Step) -> Tensor:
    clean, seen = (s.batch.views[f"pulse/{v}"].data.flatten(1) for v in ("clean", "changed"))
    z = s.z("online")
    losses = [s.method.terms[n].loss.layer(z) for n in ("mask", "values")]
    return ref.vime(clean, seen, *losses, 2.0)


def _crosspoint() -> dict[str, Any]:
    intra = {"query": "cloud", "keys": ["cloud"], "positives": "same(sample) and not self", "denominator": "not self"}
    both = {"query": ["mean", "flat"], "keys": ["mean", "flat"]}
    return {
        "branches": {"cloud": {"views": "cloud/*", "projector": HEAD}, "flat": {"views": "flat/*", "projector": HEAD}},
        "sources": {"mean": {"use": "mean", "of": "cloud"}},
        "terms": {"intra": intra | {"tau": 0.1}, "cross": intra | both | {"tau": 0.1}},
    }


def _two(loss: Any, **term: Any) -> dict[str, Any]:
    return preset(
        "simclr", branches={"online": {"projector": HEAD}}, terms={"nt_xent": {"loss": loss, "tau": 0.5, **term}}
    )


def _sets(loss: str) -> dict[str, Any]:
    return {
        "branches": {"online": {"views": "*", "projector": HEAD}},
        "terms": {"set": {"query": ["online/a", "online/b"], "loss": loss}},
    }


def _pair(make: str, **kwargs: Any) -> dict[str, Any]:
    return registry().load("method", make)(**kwargs)  # type: ignore[no-any-return,operator]


def _small(name: str, **changes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: preset(name, **merge(ONLINE, changes))


QUEUE = {"queue": {"size": 16}}
VIME = {
    "branches": {"online": {"views": "changed", "projector": HEAD}},
    "terms": {
        "mask": {
            "query": "online",
            "loss": {"use": "reconstruct", "target": "clean", "features": 20, "what": "changed"},
        },
        "values": {"query": "online", "loss": {"use": "reconstruct", "target": "clean", "features": 20}, "weight": 2.0},
    },
}
DENSE = {"online": {"projector": HEAD}, "dense": {"projector": HEAD}}
STUDENT = {"branches": {"student": {"projector": HEAD}}, "sources": {"prototypes": {"count": 9, "frozen": None}}}

CASES: dict[str, Case] = {
    "simclr": Case(_small("simclr"), TWO, lambda s: ref.nt_xent(s.z("online", TWO[0]), s.z("online", TWO[1]), 0.1)),
    "supcon": Case(
        _small("supcon"), TWO, lambda s: ref.supcon_out(s.z("online"), s.tables["online"].meta["label"], 0.1)
    ),
    "supcon-in": Case(
        _small("supcon", terms={"supcon": {"loss": {"use": "nce", "positives": "in"}}}),
        TWO,
        lambda s: ref.supcon_in(s.z("online"), s.tables["online"].meta["label"], 0.1),
    ),
    "moco-v2": Case(_small("moco-v2", sources=QUEUE), QK, lambda s: ref.moco(*_moco(s), 0.2)),
    "byol": Case(
        _small("byol", branches={"online": {"predictor": {**HEAD, "out": 4}}}),
        TWO,
        lambda s: ref.byol(*(s.z("online", v) for v in TWO), *(s.z("target", v) for v in TWO)),
    ),
    "dino": Case(lambda: preset("dino", **STUDENT), CROPS, _dino),
    "swav": Case(
        _small(
            "swav",
            sources={"prototypes": {"count": 9, "frozen": None}, "past": {"size": 64, "start": None, "full": False}},
        ),
        CROPS,
        _swav,
    ),
    "pcl": Case(
        _small("pcl", sources=QUEUE | {"centroids": {"counts": [3, 5, 9], "start": None}}), QK, _pcl, before=_cluster
    ),
    "densecl": Case(
        lambda: preset("densecl", branches=DENSE, sources=QUEUE | {"dense_queue": {"size": 16}}), QK, _densecl
    ),
    "mochi": Case(
        _small("mochi", sources=QUEUE | {"mixes": {"hardest": 5, "mixed": 6, "with_query": 3, "start": None}}),
        QK,
        _mochi,
    ),
    "paco": Case(_small("paco", sources=QUEUE | {"centres": {"counts": [5, 2, 9]}}), QK, _paco),
    "dcl": Case(_small("dcl"), TWO, lambda s: ref.dcl(s.z("online", TWO[0]), s.z("online", TWO[1]), 0.1)),
    "dclw": Case(_small("dclw"), TWO, lambda s: ref.dclw(s.z("online", TWO[0]), s.z("online", TWO[1]), 0.1, 0.5)),
    "dclw-grad": Case(
        _small("dclw", terms={"dclw": {"attract": {"grad": True}}}),
        TWO,
        lambda s: ref.dclw(s.z("online", TWO[0]), s.z("online", TWO[1]), 0.1, 0.5, detach=False),
    ),
    "debiased": Case(
        lambda: _two({"use": "nce", "negatives": "debiased"}),
        TWO,
        lambda s: ref.debiased(s.z("online", TWO[0]), s.z("online", TWO[1]), 0.5),
    ),
    "hard": Case(
        lambda: _two({"use": "nce", "negatives": "hard"}),
        TWO,
        lambda s: ref.hcl(s.z("online", TWO[0]), s.z("online", TWO[1]), 0.5),
    ),
    "clip": Case(
        lambda: _pair("clip", pair=["text", "video"], out=4),
        ("text/0", "video/0"),
        lambda s: ref.clip(s.z("text"), s.z("video"), s.method.terms["text~video"].scale(s.method.clock, {})),
    ),
    "siglip": Case(
        lambda: _pair("siglip", pair=["text", "video"], out=4),
        ("text/0", "video/0"),
        lambda s: ref.siglip(
            s.z("text"),
            s.z("video"),
            s.method.terms["text~video"].scale(s.method.clock, {}),
            s.method.terms["text~video"].offset(),
        ),
    ),
    "gram": Case(
        lambda: _pair("gram", anchor="text", others=["video", "sound"], out=4), ("text/0", "video/0", "sound/0"), _gram
    ),
    "crosspoint": Case(
        _crosspoint,
        ("cloud/0", "cloud/1", "flat/0"),
        lambda s: ref.crosspoint(s.z("cloud", "cloud/0"), s.z("cloud", "cloud/1"), s.z("flat"), 0.1),
    ),
    "vime": Case(lambda: VIME, ("pulse/clean", "pulse/changed"), _vime),
    "barlow-twins": Case(
        lambda: _sets("barlow-twins"), TWO, lambda s: ref.barlow_twins(s.z("online", TWO[0]), s.z("online", TWO[1]))
    ),
    "vicreg": Case(lambda: _sets("vicreg"), TWO, lambda s: ref.vicreg(s.z("online", TWO[0]), s.z("online", TWO[1]))),
}


def prepare(case: Case, count: int = 7) -> tuple[Method, Batch]:
    """The method after one committed step (so that queues, centres and twins hold something), and the next batch."""
    method = case.method()
    case.before(method)
    method.loss(batch(case.views, count, seed=0))
    with torch.no_grad():
        for p in method.parameters():
            if p.requires_grad:
                p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3), dtype=p.dtype))
    method.advance()
    return method, batch(case.views, count, seed=1)


def gradients(method: Method, loss: Tensor) -> dict[str, Tensor]:
    """By name, zeros where the loss doesn't reach."""
    named = [(n, p) for n, p in method.named_parameters() if p.requires_grad]
    grads = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
    return {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(named, grads, strict=True)}
