"""Every method as data, on a toy modality in float64, each with what an independent reference says it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from scipy.special import hyp0f1
from torch import Tensor, nn

from contrapose import Method, registry
from contrapose.draws import keyed_uniform
from contrapose.sources.bank import direction
from contrapose.sources.transformed import beta_quantile
from contrapose.types import Batch, Rows, ViewBatch, ident
from tests.reference import formulas as ref

FEATURES, POSITIONS, WIDTH, CLASSES = 5, 4, 6, 3


class Net(nn.Module):
    """(n, P, F) to a pooled, a dense and an inner tap."""

    def __init__(self, modality: str, seed: int = 0) -> None:
        super().__init__()
        self.modality, self.dims = modality, {"pooled": WIDTH, "dense": WIDTH, "layer3": WIDTH}
        weight = torch.randn(WIDTH, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.weight = nn.Parameter(weight)

    def forward(self, data: Tensor) -> dict[str, Tensor]:
        h = torch.tanh(data @ self.weight.T)
        return {"pooled": h.mean(1), "dense": h, "layer3": h[:, 0]}


def batch(
    names: Sequence[str], count: int = 7, seed: int = 0, missing: Mapping[str, Sequence[int]] | None = None
) -> Batch:
    """A batch of random data; ``missing``: positions that lack a modality."""
    g = torch.Generator().manual_seed(seed)
    sample = 100 * seed + torch.randperm(count, generator=g)
    views = {}
    for name in names:
        if name.endswith("/mixed"):
            continue
        modality = name.partition("/")[0]
        gone = (missing or {}).get(modality, ())
        index = torch.tensor([i for i in range(count) if i not in gone], dtype=torch.int64)
        data = torch.randn(count, POSITIONS, FEATURES, generator=g, dtype=torch.float64)
        views[name] = ViewBatch(data[index] if len(index) else None, modality, index)
    meta = {"label": torch.randint(0, CLASSES, (count,), generator=g)}
    if "pulse/mixed" in names:
        views["pulse/mixed"] = _mixed(
            views["pulse/query"], sample, torch.rand(count // 2, generator=g, dtype=torch.float64)
        )
    if names[0].startswith("pulse/"):
        for column, values in {"sequence": 2, "group": 3, "tracklet": 3, "camera": 2, "time": 5}.items():
            meta[column] = torch.randint(0, values, (count,), generator=g)
    return Batch(sample, views, meta)


def _mixed(views: ViewBatch, sample: Tensor, share: Tensor) -> ViewBatch:
    """The first half of the rows, each mixed with one of the second half."""
    half = len(views) // 2
    if not half:
        return ViewBatch(None, views.modality, views.index[:0])
    share, other = share[:half], sample[views.index[half : 2 * half]]
    s = share[:, None, None]
    data = s * views.data[:half] + (1 - s) * views.data[half : 2 * half]
    return ViewBatch(
        data, views.modality, views.index[:half], {"share": share, "other": other, "other_share": 1 - share}
    )


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
BARE = {"branches": {"online": {"projector": None}}}


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


def _draws(s: Step, table: str, source: str, count: int) -> Tensor:
    """What a source draws for the rows of a table in the second step."""
    columns = [s.tables[table].meta[c] for c in ("sample", "view", "position")]
    return keyed_uniform(columns, count, 0, 1, ident(source))


def _known(*banks: str) -> Callable[[Method], None]:
    """The second batch's samples but two have been seen before."""

    def before(method: Method) -> None:
        for name in banks:
            z = torch.randn(105, 4, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
            method.sources[name].keep("z", ref.unit(z))
            method.sources[name].keep("seen", torch.arange(105) >= 98)

    return before


def _told(s: Step, of: str, query: str, bank: str, noise: str) -> tuple[Tensor, Tensor]:
    """The entries of another table's samples, own (n, D) and drawn (n, 5, D); both tables have all samples of the batch."""
    stored, seen, new = s.source(bank), s.source(bank, "seen"), s.tables[of].meta["sample"].sort().values
    samples = torch.cat([seen.nonzero().flatten(), new]).unique()
    pool = direction(samples, 4, 0, ident(bank))
    pool[: int(seen.sum())] = stored[seen]
    own = torch.stack([pool[samples == n][0] for n in s.tables[query].meta["sample"]])
    return own, pool[(_draws(s, query, noise, 5) * len(pool)).long()]


def _banked(s: Step, query: str, of: str, bank: str, noise: str) -> Tensor:
    """NCE of a table's rows with the entries of another's samples."""
    own, drawn = _told(s, of, query, bank, noise)
    partition = float(hyp0f1(4 / 2, (0.5 / 0.07) ** 2))
    return ref.nce_binary(s.z(query), own, drawn, 1000 * partition, 1000)


def _fnc(s: Step, **how: Any) -> Tensor:
    views = [s.z("online", v) for v in FNC]
    if "queue" in s.method.sources:
        how |= {"twins": [s.z("key", v) for v in FNC], "queue": s.source("queue")}
    return ref.fnc(views, 0.1, **how)


def _coclr(s: Step, m: str, other: str) -> Tensor:
    assert torch.equal(s.source(f"{m}_queue", "column sample"), s.source(f"{other}_queue", "column sample"))
    judge, pool = ref.unit(s.z(f"{other}_key")), ref.unit(s.source(f"{other}_queue"))
    mined = torch.zeros(len(judge), len(pool)).scatter(1, (judge @ pool.T).topk(2).indices, 1.0)
    return ref.coclr(s.z(m), s.z(f"{m}_key"), s.source(f"{m}_queue"), mined)


def _ft(s: Step) -> Tensor:
    q, k, queue = _moco(s)
    draws = keyed_uniform(torch.arange(len(queue)), 5, 0, 1, ident("mixed"))
    far, near = 1 + beta_quantile(_draws(s, "online", "pair", 4), 2.0), beta_quantile(draws[:, 1:], 1.6)
    return ref.ft(q, k, queue, far, near, draws[:, 0].argsort())


def _ncl(s: Step) -> Tensor:
    q, queue = s.z("online"), s.source("queue")
    partners = (_draws(s, "online", "mixes", 8) * len(queue)).long().unflatten(1, (2, 4))
    return ref.ncl(q, s.z("key"), queue, ref.ncl_mixes(q, queue, 4, partners, 5), 3)


def _pirl(s: Step) -> Tensor:
    patches = _banked(s, "patches", "online", "bank", "patch_noise")
    return 0.3 * patches + 0.7 * _banked(s, "online", "online", "bank", "noise")


def _cpc(s: Step) -> Tensor:
    head = s.method.towers.predictors["context"]
    z = s.z("local").unflatten(0, (-1, POSITIONS))
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    c = ref.gru(z, *(getattr(head.context, n) for n in names))
    return ref.cpc(z, c, [*head.ahead.weight.chunk(2)])


def _mixco(s: Step) -> Tensor:
    q, k, queue = _moco(s)
    rows, half = s.tables["mixed"], len(s.batch) // 2
    first = torch.arange(half)
    assert torch.equal(rows.meta["other"], s.batch.sample[half : 2 * half])
    return ref.mixco(q, k, queue, rows.z, rows.meta["share"], first, first + half, 0.2, 0.05)


def _columns(s: Step, *names: str) -> list[Tensor]:
    return [s.tables["online"].meta[c] for c in names]


def _crosspoint() -> dict[str, Any]:
    intra = {"query": "cloud", "keys": ["cloud"], "positives": "same(sample) and not self", "denominator": "not self"}
    both = {"query": ["mean", "flat"], "keys": ["mean", "flat"]}
    return {
        "branches": {"cloud": {"views": "cloud/*", "projector": HEAD}, "flat": {"views": "flat/*", "projector": HEAD}},
        "sources": {"mean": {"use": "mean", "of": "cloud"}},
        "terms": {"intra": intra | {"tau": 0.1}, "cross": intra | both | {"tau": 0.1}},
    }


def _views(s: Step, of: Callable[..., Tensor], *args: Any) -> Tensor:
    """A reference of the two views' rows."""
    return of(s.z("online", TWO[0]), s.z("online", TWO[1]), *args)


def _moco_v3(s: Step) -> Tensor:
    (q1, q2), (k1, k2) = ([s.z(table, v) for v in TWO] for table in ("online", "key"))
    return 2 * (ref.info_nce(q1, k2, 1.0) + ref.info_nce(q2, k1, 1.0))


def _selfcon(s: Step) -> Tensor:
    exits = torch.cat([s.z("outer"), s.z("inner")])
    return ref.supcon_out(exits, s.tables["outer"].meta["sample"].repeat(2), 0.1)


def _dim(s: Step) -> Tensor:
    parts = [s.z("parts", v).unflatten(0, (-1, POSITIONS)) for v in TWO]
    return ref.deep_infomax([s.z("whole", v) for v in TWO], parts, 16.0)


def _triplet(s: Step) -> Tensor:
    return ref.triplet_semihard(s.z("online"), s.tables["online"].meta["sample"])


def _m5product(s: Step) -> Tensor:
    weights = 3 * torch.softmax(s.method.shares["pairs"].scores, 0)
    pairs = [(0, 1), (0, 2), (1, 2)]
    z = [s.z(m) for m in THREE]
    return sum(w * ref.simcl(z[a], z[b]) for w, (a, b) in zip(weights, pairs, strict=True))


def _symile(s: Step, shuffled: bool) -> Tensor:
    losses = []
    for m in THREE:
        orders = [*keyed_uniform(s.batch.sample, 2, 0, 1, ident(f"mixed_{m}")).argsort(0).T.tolist()]
        others = [s.z(o) for o in THREE if o != m]
        scale = s.method.temperatures["tau"]()
        losses.append(ref.symile_rows(s.z(m), others, scale, orders if shuffled else None))
    return torch.stack(losses).mean()


def _tcl(s: Step) -> Tensor:
    parts = [s.z(f"{m}_parts").unflatten(0, (-1, POSITIONS)) for m in ("text", "video")]
    online, twins = ([s.z(f"{m}{of}") for m in ("text", "video")] for of in ("", "_key"))
    queues = [s.source(f"{m}_queue") for m in ("text", "video")]
    tau = 1 / s.method.temperatures["tau"]()
    return ref.tcl(online, twins, parts, queues, tau, alpha=0.4 / 10)  # a tenth of the first epoch is over


def _linear(make: str, *args: Any, **kwargs: Any) -> Callable[[], dict[str, Any]]:
    return lambda: _pair(make, *args, **kwargs, out=4)


def _pair(make: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return registry().load("method", make)(*args, **kwargs)  # type: ignore[no-any-return,operator]


def _small(name: str, **changes: Any) -> Callable[[], dict[str, Any]]:
    return lambda: preset(name, **merge(ONLINE, changes))


THREE = ("text", "video", "sound")
ONE_EACH = tuple(f"{m}/0" for m in THREE)
VIEWS = ("pulse/view_0", "pulse/view_1", "pulse/view_2")
NARROW = {"branches": {"online": {"projector": {"out": 4, "hidden": 8, "norm": "none", "last": "none"}}}}
PREDICTOR = {"out": 4, "hidden": 8, "norm": "none", "bias": True}  # else a dead ReLU gives rows of length 0
PREDICTED = merge(NARROW, {"branches": {"online": {"predictor": PREDICTOR}}})
FNC = ("pulse/view_0", "pulse/view_1", "pulse/support_0", "pulse/support_1")
CLIPS = ("rgb/query", "rgb/key", "flow/query", "flow/key")
JIGSAW = ("pulse/whole", "pulse/patch_0", "pulse/patch_1")
QUEUE = {"queue": {"size": 16}}
CPC = {
    "branches": {
        "local": {"projector": {"use": "linear", "out": 4}},
        "context": {"predictor": {"use": "forecast", "steps": 2, "hidden": 3}},
    },
    "terms": {"ahead": {"tau": 4.0, "weight": 2.0}},
}
NCL = {
    "branches": {"online": {"projector": HEAD}},
    "sources": QUEUE | {"mixes": {"easiest": 4, "rounds": 2, "hardest": 5, "start": None}},
    "terms": {"ncl": {"annotate": {"near": {"count": 3}}, "positives": {"same(near, to=self)": 0.8 / 3}}},
}
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
        _small("supcon-in"), TWO, lambda s: ref.supcon_in(s.z("online"), s.tables["online"].meta["label"], 0.1)
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
    "debiased": Case(_small("debiased"), TWO, lambda s: _views(s, ref.debiased)),
    "hard": Case(_small("hard"), TWO, lambda s: _views(s, ref.hcl)),
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
    "barlow-twins": Case(lambda: preset("barlow-twins", **NARROW), TWO, lambda s: _views(s, ref.barlow_twins)),
    "npid": Case(
        lambda: _pair("npid", negatives=5, out=4),
        ("pulse/a",),
        lambda s: _banked(s, "online", "online", "bank", "noise"),
        before=_known("bank"),
    ),
    "cmc-bank": Case(
        lambda: _pair("cmc-bank", modalities=["text", "video"], negatives=5, out=4),
        ("text/0", "video/0"),
        lambda s: (
            _banked(s, "text", "video", "video_bank", "text_video_noise")
            + _banked(s, "video", "text", "text_bank", "video_text_noise")
        ),
        before=_known("text_bank"),
    ),
    "cmc-bank-softmax": Case(
        lambda: _pair("cmc-bank", modalities=["text", "video"], negatives=5, out=4, softmax=True),
        ("text/0", "video/0"),
        lambda s: sum(
            ref.nce_softmax(s.z(a), *_told(s, b, a, f"{b}_bank", f"{a}_{b}_noise"))
            for a, b in (("text", "video"), ("video", "text"))
        ),
        before=_known("text_bank"),
    ),
    "fnc": Case(lambda: merge(_pair("fnc", top=3, memory=64), BARE), FNC, lambda s: _fnc(s, top=3)),
    "fnc-eliminate": Case(
        lambda: merge(_pair("fnc", "eliminate", memory=0), BARE), FNC, lambda s: _fnc(s, cancel="eliminate")
    ),
    "coclr": Case(
        lambda: _pair("coclr", pair=["rgb", "flow"], top=2, size=7, out=4),
        CLIPS,
        lambda s: _coclr(s, "rgb", "flow") + _coclr(s, "flow", "rgb"),
    ),
    "coclr-in-turn": Case(
        lambda: _pair("coclr", pair=["rgb", "flow"], learn="rgb", top=2, size=7, out=4),
        CLIPS,
        lambda s: _coclr(s, "rgb", "flow"),
    ),
    "ft": Case(_small("ft", sources=QUEUE), QK, _ft),
    "ncl": Case(lambda: preset("ncl", **NCL), QK, _ncl),
    "pirl": Case(lambda: _pair("pirl", patches=2, share=0.3, negatives=5, out=4), JIGSAW, _pirl, before=_known("bank")),
    "cpc": Case(lambda: preset("cpc", **CPC), ("pulse/sequence",), _cpc),
    "dim": Case(
        lambda: preset("dim", branches={"whole": {"projector": HEAD}, "parts": {"projector": HEAD}}), TWO, _dim
    ),
    "mixco": Case(_small("mixco", sources=QUEUE), (*QK, "pulse/mixed"), _mixco),
    "temporal": Case(
        _small("temporal"),
        TWO,
        lambda s: ref.temporal(s.z("online"), *_columns(s, "sample", "sequence", "time"), 1.0, 0.1),
    ),
    "same-group": Case(
        _small("same-group", sources=QUEUE), QK, lambda s: ref.same_group(*_moco(s), s.batch.meta["group"], 0.2)
    ),
    "tracklet": Case(
        _small("tracklet"), TWO, lambda s: ref.tracklet(s.z("online"), *_columns(s, "tracklet", "camera"), 0.1)
    ),
    "pseudo-label": Case(
        _small("pseudo-label", sources={"clusters": {"counts": [3], "start": None}}),
        TWO,
        lambda s: ref.supcon_out(
            s.z("online"), s.source("clusters", "assigned 0")[s.tables["online"].meta["sample"]], 0.1
        ),
        before=_cluster,
    ),
    "vicreg": Case(lambda: preset("vicreg", **NARROW), TWO, lambda s: _views(s, ref.vicreg)),
    "mmcr": Case(lambda: preset("mmcr", **NARROW), VIEWS, lambda s: ref.mmcr([s.z("online", v) for v in VIEWS])),
    "simclr-v2": Case(lambda: preset("simclr-v2", **NARROW), TWO, lambda s: _views(s, ref.nt_xent, 0.1)),
    "directclr": Case(
        lambda: preset("directclr", branches={"online": {"projector": {"out": 3}}}),
        TWO,
        lambda s: _views(s, ref.both_ways, 0.1) / 2,
    ),
    "selfcon": Case(
        lambda: preset("selfcon", branches={"outer": {"projector": HEAD}, "inner": {"projector": HEAD}}),
        ("pulse/view",),
        _selfcon,
    ),
    "simsiam": Case(
        lambda: preset("simsiam", **PREDICTED),
        TWO,
        lambda s: ref.simsiam(*(s.z(table, v) for table in ("online", "target") for v in TWO)),
    ),
    "moco-v1": Case(
        lambda: preset("moco-v1", branches={"online": {"projector": {"out": 4}}}, sources=QUEUE),
        QK,
        lambda s: ref.moco(*_moco(s), 0.07),
    ),
    "moco-v3": Case(lambda: preset("moco-v3", **PREDICTED), TWO, _moco_v3),
    "triplet": Case(lambda: preset("triplet", branches={"online": {"projector": {"out": 4}}}), TWO, _triplet),
    "margin": Case(
        lambda: preset("margin", branches={"online": {"projector": {"out": 4}}}),
        TWO,
        lambda s: ref.margin_contrastive(s.z("online"), s.tables["online"].meta["sample"]),
    ),
    "n-pair": Case(
        lambda: preset("n-pair", branches={"online": {"projector": {"out": 4}}}), TWO, lambda s: _views(s, ref.n_pair)
    ),
    "mmcl": Case(_small("mmcl"), TWO, lambda s: _views(s, ref.mmcl)),
    "cmc": Case(_linear("cmc", THREE), ONE_EACH, lambda s: ref.cmc([s.z(m) for m in THREE])),
    "cmc-core": Case(_linear("cmc", THREE, "core"), ONE_EACH, lambda s: ref.cmc([s.z(m) for m in THREE], core=True)),
    "hub": Case(
        _linear("hub", "video", {"text": {"learn": 0.07}, "sound": 0.05}),
        ONE_EACH,
        lambda s: (
            ref.both_ways(s.z("video"), s.z("text"), 1 / s.method.terms["video~text"].scale(s.method.clock, {}))
            + ref.both_ways(s.z("video"), s.z("sound"), 0.05)
        ),
    ),
    "m5product": Case(_linear("m5product", THREE), ONE_EACH, _m5product),
    "symile": Case(_linear("symile", THREE), ONE_EACH, lambda s: _symile(s, shuffled=True)),
    "symile-all": Case(_linear("symile", THREE, "all"), ONE_EACH, lambda s: _symile(s, shuffled=False)),
    "tcl": Case(
        _linear("tcl", ["text", "video"], size=16),
        ("text/query", "text/key", "video/query", "video/key"),
        _tcl,
    ),
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
