"""From a run, or the parts of one, to its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.nn import functional as F

from contrapose.data.collate import Collate, Item
from contrapose.data.failure import one_line
from contrapose.data.samples import read_sample, sample_ids
from contrapose.errors import ContraposeError, DataError
from contrapose.evaluate import Embedded, Table
from contrapose.report.plots import embedding_map, loss_curves
from contrapose.report.preview import Bundle, preview_of
from contrapose.report.sheets import retrieval_sheet, view_sheet
from contrapose.types import Reader, Sample, View, tree_map
from contrapose.views.maker import ViewMaker
from contrapose.views.mix import MixedView

if TYPE_CHECKING:
    from contrapose.engine.build import Parts
    from contrapose.engine.run import Run

ORIGINAL = "original"


def picture_views(
    parts: Parts, path: Path, n: int = 8, split: str = "train", seed: int = 0, epoch: int = 0
) -> list[str]:
    """Draw ``n`` samples of a split, taken at random, with the views that training would make of them in ``epoch``.

    Views that are mixed of a batch's are mixed of these samples'.
    Returns what failed, a line each, as it says in the picture too. Raises ``DataError`` for a split that there isn't.
    """
    if split not in parts.splits:
        raise DataError(f"the data have no split {split!r}; there is {', '.join(parts.splits)}")
    reader, make = parts.splits[split], parts.plan.maker(parts.run.train.seed, sheet=True)
    columns = _columns(list(parts.columns), make.names)
    seen: list[tuple[Sample, list[View], dict[tuple[str, str], Bundle]]] = []
    failures = []
    for position in drawn(len(reader), n, seed):
        sample, unread = read_sample(reader, position)
        views, failed = make(sample, epoch)
        previews = {(m, ORIGINAL): preview_of(parts.modalities[m], data) for m, data in sample.data.items()}
        previews |= {_column(v.name): preview_of(parts.modalities[v.modality], v.data) for v in views}
        for name, modality, error in [("", m, e) for m, e in unread] + failed:
            key = _column(name) if name else (modality, ORIGINAL)
            line = " ".join(f"{type(error).__name__}: {error}".split())
            failures.append(f"sample {sample.id}, {'/'.join(key)}: {line}")
            previews[key] = {"text/plain": f"failed: {line}"}
        seen.append((sample, views, previews))
    for m in parts.plan.mixed:
        try:
            mixed = _mixed(parts, make, m, [(sample, views) for sample, views, _ in seen], epoch)
        except Exception as error:  # the mixer's, or of views that fit into no batch
            failures.append(f"{m.name} isn't drawn: {one_line(error)}")
            mixed = {}
        for sample, views, previews in seen:
            if any(v.name == m.of for v in views):
                none: Bundle = {"text/plain": "mixed into another's" if mixed else "not drawn"}
                previews[_column(m.name)] = mixed.get(sample.id, none)
    rows = [(_title(sample, reader), [previews.get(c) for c in columns]) for sample, _, previews in seen]
    note = f"{len(rows)} of {len(reader)} {split} samples, drawn with seed {seed}; views of epoch {epoch}"
    view_sheet(rows, columns, path, parts.config.source.name if parts.config.source else "views", note)
    return failures


def picture_run(run: Run, embedded: Embedded, queries: int = 6, top: int = 5) -> list[Path]:
    """Write a run's ``pictures/``: the loss, the map of its encoders' features, and retrieval between its modalities."""
    folder = run.dir / "pictures"
    made = [loss_curves(run.dir / "metrics.csv", folder / "loss.png")] if (run.dir / "metrics.csv").exists() else []
    pooled = embedded.tables(embedded.split, "pooled")
    labels = {m: t.labels for m, t in pooled.items() if t.labels is not None}
    reader = run.reader(embedded.split)
    names = {float(i): word for i, word in enumerate(getattr(reader, "vocabularies", {}).get("label", []))}
    features = {m: table.z.numpy() for m, table in pooled.items()}
    made.append(embedding_map(features, labels or None, folder / "embeddings.png", names, seed=embedded.seed))
    projected = embedded.tables(embedded.split, "projected")
    positions = {int(i): p for p, i in enumerate(sample_ids(reader))}
    for a, b in permutations(projected, 2):
        if projected[a].z.shape[1] == projected[b].z.shape[1]:
            path = folder / f"retrieval_{a}_to_{b}.png"
            modalities = (run.parts.modalities[a], run.parts.modalities[b])
            found = nearest(projected[a], projected[b], queries, top, embedded.seed)
            if found:
                rows = [
                    (
                        _shown(reader, positions[query], modalities[0]),
                        [(_shown(reader, positions[i], modalities[1]), cosine, i == query) for i, cosine in hits],
                    )
                    for query, hits in found
                ]
                note = f"{len(rows)} queries drawn with seed {embedded.seed}, not chosen. Green: the query's own {b}."
                made.append(retrieval_sheet(rows, a, b, path, note))
    return [path for path in made if path]


def nearest(a: Table, b: Table, queries: int, top: int, seed: int = 0) -> list[tuple[int, list[tuple[int, float]]]]:
    """Of rows of ``a`` taken at random, each's id with (id, cosine) of its ``top`` nearest in ``b``, among ids in both."""
    shared = np.intersect1d(a.ids, b.ids)
    if not len(shared):
        return []
    gallery = b.take(np.isin(b.ids, shared))
    asked = a.take(np.searchsorted(a.ids, shared[drawn(len(shared), queries, seed)]))
    cosines, index = (F.normalize(asked.z, dim=1) @ F.normalize(gallery.z, dim=1).T).topk(min(top, len(shared)), dim=1)
    found = [list(zip(gallery.ids[i].tolist(), c.tolist(), strict=True)) for i, c in zip(index, cosines, strict=True)]
    return list(zip(asked.ids.tolist(), found, strict=True))


def _mixed(
    parts: Parts, make: ViewMaker, mixed: MixedView, made: Sequence[tuple[Sample, list[View]]], epoch: int
) -> dict[int, Bundle]:
    """Previews, by sample id, of what a mixer makes of the samples as of a batch. Raises ``DataError`` for fewer than two."""
    name = mixed.mixer.modality
    items = [Item(sample.id, {}, [v], []) for sample, views in made for v in views if v.name == mixed.of]
    if len(items) < 2:
        raise DataError(f"it takes two samples or more with {mixed.of}, and of those drawn {len(items)} has it")
    batch = Collate({mixed.of: name}, parts.modalities, {})(items)
    if isinstance(batch, ContraposeError):
        raise batch
    found = make.mix(mixed, batch.views[mixed.of], batch.sample, epoch)
    previews: dict[int, Bundle] = {}
    for place, row in enumerate(found.index.tolist()):
        data = tree_map(lambda t, place=place: t[place].numpy(), found.data)
        try:
            previews.setdefault(int(batch.sample[row]), parts.modalities[name].preview(data))
        except Exception as error:
            raise DataError(f"{name} shows no row of a mixed batch: {one_line(error)}") from error
    return previews


def _columns(modalities: Sequence[str], views: Mapping[str, str]) -> list[tuple[str, str]]:
    """The original of each modality, then its views; modalities that the data lack (renderings) come last."""
    groups = dict.fromkeys([*modalities, *views.values()])
    columns = []
    for modality in groups:
        columns += [(modality, ORIGINAL)] if modality in modalities else []
        columns += [_column(name) for name, of in views.items() if of == modality]
    return columns


def _column(view: str) -> tuple[str, str]:
    modality, _, slot = view.partition("/")
    return modality, slot


def drawn(total: int, n: int, seed: int) -> list[int]:
    """Up to ``n`` positions of ``total``, taken at random, ascending."""
    positions: list[int] = np.sort(np.random.default_rng(seed).permutation(total)[:n]).tolist()
    return positions


def _shown(reader: Reader, position: int, modality: Any) -> Bundle | None:
    data = read_sample(reader, position)[0].data.get(modality.name)
    return None if data is None else preview_of(modality, data)


def _title(sample: Sample, reader: Reader) -> str:
    label = sample.meta.get("label")
    words = getattr(reader, "vocabularies", {}).get("label")
    if words and isinstance(label, int) and 0 <= label < len(words):
        return f"#{sample.id}\n{words[label]}"
    return f"#{sample.id}"
