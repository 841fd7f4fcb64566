"""Writes docs/gallery.md and its pictures, what every view generator makes of the same samples: ``python docs/gallery.py``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sounds import SECONDS, sounds

from contrapose.config import Config, build
from contrapose.engine.build import Parts
from contrapose.engine.components import Samples
from contrapose.errors import PluginError
from contrapose.plugins import Offer, registry
from contrapose.report.preview import as_text
from contrapose.report.sheets import view_sheet
from contrapose.types import Sample, View, ViewBatch, tree_map
from contrapose.views import Compose
from contrapose.views.mix import BatchMixer
from contrapose_text.texts import Columns
from contrapose_video.pixels import evenly, to_frames

HERE = Path(__file__).resolve().parent
PAGE = HERE / "gallery.md"
FIGURES = HERE / "figures"

CONFIG = {
    "data": str(HERE.parent / "examples/data/furniture/furniture.parquet"),
    "meta": {"name": "name", "library": "library"},
    "split": {"column": "split"},
    "modalities": {
        "pointcloud": "cloud",
        "image": "icon",
        "text": "name",
        "tabular": ["width", "depth", "height", "elevation", "movable"],
    },
}
DRAWN = ("Rocking horse", "Bicycle", "Concept Sedan 01")
"""Names of the pieces that are shown: chosen for having many parts and colours."""

ARGUMENTS: dict[str, dict[str, Any]] = {
    "image/torchvision": {"transform": {"use": "RandomPerspective", "p": 1.0}},
    "image/albumentations": {"transform": {"use": "GridDistortion", "p": 1.0}},
    "video/flow": {"bound": 6.0},
    "video/frames": {"view": "image/simclr"},
    "audio/mixup": {"seconds": SECONDS},
    "audio/pair": {"each": {"use": "audio/noise"}, "seconds": SECONDS},
    "tabular/conditional": {"within": "library"},
    "text/column": {"name": "note"},
    "text/columns": {"slots": {"anchor": "name", "positive": "note"}},
    **{f"image/{step}": {"p": 1.0} for step in ("blur", "color-jitter", "flip", "grayscale", "solarize")},
}
"""Of generators that ask for some, and of steps that would often leave a sample as it is."""

OF_LOG_MELS = [f"audio/{name}" for name in ("mask", "mixup", "resize-crop", "fader", "normalise")]
"""Which change log-mels: they get that of the sound."""

MIXERS = ("tabular/in-batch", "tabular/saint", "video/fame")
"""They make their rows of a batch, here that of the pieces which are shown."""

TEXTS = (
    "A painted rocking horse with a red saddle, for children from two to five years",
    "City bicycle with a steel frame, three gears and a basket in front of the handlebars",
    "Concept of a family sedan with four doors, shown in silver and never built in series",
)
"""Notes on the pieces, a second column of their texts: their names are too short for most views."""

ROWS = 14
"""Most generators in one picture."""

HEAD = """\
<!-- Written by docs/gallery.py (make docs), which also draws the pictures. -->
# A gallery of views

What every view generator that our plugins offer makes of the same three pieces of furniture, as they are on the left of each group:
two draws, or the first two views where one draw makes several. Videos are the pieces on
a turntable, four frames of each clip. Sounds are three that `docs/sounds.py` computes, shown as log-mels.
All arguments have their defaults, unless the row says otherwise;
`contrapose show view NAME` tells them, and `contrapose views CONFIG` draws the views of your own data and config.
"""


def page() -> str:
    """The page's text."""
    parts = Parts(Config.of(CONFIG))
    reader = parts.splits["train"]
    words = reader.words("name")
    samples = [reader[words.index(name)] for name in DRAWN]
    texts = [Columns({"name": name, "note": note}) for name, note in zip(DRAWN, TEXTS, strict=True)]
    samples = [replace(s, data={**s.data, "text": text}) for s, text in zip(samples, texts, strict=True)]
    samples = [replace(s, data={**s.data, "video": _turned(s)}) for s in samples]
    made = [HEAD]
    for modality in (*CONFIG["modalities"], "video"):
        offers = [o for o in registry().offers("view") if o.spec.modality == modality]
        made.append(f"## {modality}\n")
        if modality in ("text", "tabular"):
            made.append(_table(parts, modality, offers, samples))
        else:
            made += _pictures(parts, modality, offers, samples)
    made.append("## audio\n")
    heard = [Sample(i, {"audio": wave[None]}) for i, wave in enumerate(sounds().values())]
    made += _pictures(parts, "audio", [o for o in registry().offers("view") if o.spec.modality == "audio"], heard)
    return "\n".join(made)


def _turned(sample: Sample) -> Any:
    """A clip of the piece on a turntable: the table has no videos."""
    generator = build("view", {"use": "pointcloud/turntable", "frames": 48, "azimuth": 30.0})
    return generator(sample, np.random.default_rng(sample.id))[0].data


def views(parts: Parts, offer: Offer, samples: Sequence[Sample]) -> list[list[View]]:
    """Of each sample, the first two views that the generator makes, by the same draws whatever the machine."""
    modality = str(offer.spec.modality)
    node = {"use": offer.name, **ARGUMENTS.get(offer.name, {})}
    mixer = offer.name in MIXERS
    node |= {"of": "as it is"} if mixer else {}
    generator = build("view", node, ("views", modality), modality=modality, **parts.facts(modality))
    if mixer:
        return _mixed(parts, modality, generator, samples)
    if hasattr(generator, "fit"):
        generator.fit(samples if modality == "audio" else Samples(parts.splits["train"], modality))
    if offer.name in OF_LOG_MELS:
        generator = Compose([build("view", "audio/log-mel"), generator])
    found = []
    for sample in samples:
        rng, made = np.random.default_rng(sample.id), []
        while len(made) < 2:
            made += generator(sample, rng)
        found.append(made[:2])
    return found


def _mixed(parts: Parts, modality: str, mixer: BatchMixer, samples: Sequence[Sample]) -> list[list[View]]:
    """Of each sample, two draws of what a mixer makes of all of them; of rows that an encoder mixes, what is mixed first."""
    reads = parts.modalities.get(modality) or build("modality", modality)
    data = reads.collate([s.data[modality] for s in samples])
    index = torch.arange(len(samples))
    found: list[list[View]] = [[] for _ in samples]
    for seed in range(2):
        draws = torch.Generator().manual_seed(seed)
        made = mixer.mix(ViewBatch(data, modality, index), index, draws)
        for place, row in enumerate(made.index.tolist()):
            found[row].append(View("", modality, _row(made.data, place)))
    return found


def _row(data: Any, place: int) -> Any:
    return tree_map(lambda cells: cells[place].numpy(), data)


def _available(
    parts: Parts, offers: Iterable[Offer], samples: Sequence[Sample]
) -> Iterator[tuple[str, list[list[View]]]]:
    for offer in offers:
        try:
            yield _title(offer), views(parts, offer, samples)
        except PluginError as error:  # what an extra brings may not be here
            print(f"left out: {offer.name}: {error}")


def _title(offer: Offer) -> str:
    said = [
        v["use"] if isinstance(v, dict) and "use" in v else f"{k} {v}" for k, v in ARGUMENTS.get(offer.name, {}).items()
    ]
    return offer.name + (f" ({', '.join(said)})" if said else "")


def _pictures(parts: Parts, modality: str, offers: Iterable[Offer], samples: Sequence[Sample]) -> list[str]:
    shown = sounds() if modality == "audio" else DRAWN
    columns = [(name, heading) for name in shown for heading in ("as it is", "a view", "another")]
    rows = []
    for name, found in _available(parts, offers, samples):
        previews = []
        for sample, made in zip(samples, found, strict=True):
            previews.append(_preview(parts, View("", modality, sample.data[modality]), modality))
            previews += [_preview(parts, v, modality) for v in made]
        rows.append((name.partition("/")[2], previews))
    said = []
    count = -(-len(rows) // ROWS)
    for i in range(count):
        file = FIGURES / f"gallery-{modality}{f'-{i + 1}' if count > 1 else ''}.png"
        part = rows[i * -(-len(rows) // count) : (i + 1) * -(-len(rows) // count)]
        view_sheet(part, columns, file, title=modality, cell=1.0, left=1.5)
        Image.open(file).convert("RGB").quantize(256).save(file, optimize=True)  # a quarter of the size
        names = ", ".join(name for name, _ in part)
        said.append(f"![{modality} views: {names}](figures/{file.name})\n")
    return said


def _preview(parts: Parts, view: View, modality: str) -> Any:
    """A view as its modality shows it; of a clip four frames, in a square."""
    if (view.modality or modality) == "video":
        frames = to_frames(view.data)
        first, second, third, last = frames[evenly(len(frames), 4)]
        square = np.concatenate([np.concatenate([first, second], axis=1), np.concatenate([third, last], axis=1)])
        return parts.modalities["image"].preview(square)
    if modality == "audio":
        return build("modality", "audio").preview(view.data)
    return parts.modalities[view.modality or modality].preview(view.data)


def _table(parts: Parts, modality: str, offers: Iterable[Offer], samples: Sequence[Sample]) -> str:
    show = parts.modalities[modality].preview
    lines = ["| view | " + " | ".join(DRAWN) + " |", "|---" * (len(DRAWN) + 1) + "|"]
    lines.append("| as it is | " + " | ".join(_cell(show(s.data[modality])) for s in samples) + " |")
    for name, found in _available(parts, offers, samples):
        cells = []
        for sample, made in zip(samples, found, strict=True):
            was = show(sample.data[modality])
            cells.append("<br>or<br>".join(dict.fromkeys(_cell(show(v.data), was) for v in made)))
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(bundle: Any, was: Any = None) -> str:
    """A preview in a table's cell; of several lines, those that ``was`` lacks are bold."""
    lines = as_text(bundle).strip().replace("|", "\\|").splitlines()
    before = as_text(was).strip().splitlines() if was and len(lines) > 1 else lines
    return "<br>".join(line if line in before else f"**{line}**" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
