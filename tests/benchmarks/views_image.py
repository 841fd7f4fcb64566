"""``views_image_32`` and ``views_image_224``: SimCLR's two views of pictures in memory, on one core, against four libraries.

Each side does all of the recipe, from uint8 pixels (pillow's own image for lightly, which asks for one) to float tensors, with the
same distributions. Ours are the per-sample form (what loader workers run) and the batched one, each with exact colours and by
``colour: matrix``; the row is that of the fastest, the others are in the notes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Picture
from torchvision.transforms import v2

from contrapose import Sample, build
from tests.benchmarks.bench import Bench, peer
from tests.benchmarks.harness import Side, alternate, median_ratio, medians, versions
from tests.benchmarks.table import Row

Pixels = Sequence[NDArray[np.uint8]]
JITTER = (0.8, 0.8, 0.8, 0.2)
KERNEL, SIGMA = (23, 23), (0.1, 2.0)
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks a server for a newer version


def measure(bench: Bench) -> Iterator[Row]:
    """32 px: 128 pictures of 32 x 32 without blur, strength 0.5. 224 px: 8 pictures of 500 x 375, with blur, strength 1."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _rows(bench, 32, bench.pick(128, 4), (32, 32), "image/simclr-cifar", 0.5, blur=False)
        yield from _rows(bench, 224, bench.pick(8, 2), (375, 500), "image/simclr", 1.0, blur=True)
    finally:
        torch.set_num_threads(threads)


def _rows(
    bench: Bench, size: int, count: int, shape: tuple[int, int], name: str, strength: float, blur: bool
) -> Iterator[Row]:
    """Against the fastest peer, and against lightly."""
    pictures = _pictures(count, *shape)
    jitter = [strength * amount for amount in JITTER]
    own = _ours(pictures, size, name)
    theirs: dict[str, Side] = {"torchvision": _torchvision(pictures, size, jitter, blur)}
    for package, side in {"lightly": _lightly, "kornia": _kornia, "albumentations": _albumentations}.items():
        if made := side(pictures, size, jitter, blur):
            theirs[package] = made
    times = alternate({**own, **theirs}, bench.pick(5, 2))
    median = medians(times)
    ours, best = min(own, key=median.__getitem__), min(theirs, key=median.__getitem__)
    rates = {side: f"{side} {2 * count / seconds:,.0f}" for side, seconds in median.items()}
    found = versions("torchvision", "lightly", "kornia", "albumentations")
    notes = f"ours is {ours}; views/s: {', '.join(rates.values())}"
    for row, against, target in ((f"views_image_{size}", best, 0.5), (f"views_image_{size}_lightly", "lightly", 0.1)):
        yield Row(
            name=row,
            workload=f"SimCLR's two views, {shape[1]} x {shape[0]} to {size} px, one core",
            ours=median[ours],
            peer_name=f"{against} {found.get(against, '')}".strip(),
            peer=median.get(against),
            to_peer=median_ratio(times[ours], times[against]) if against in times else None,
            rounds=len(times[ours]),
            targets={"to_peer": target},
            versions=found,
            notes=notes if against == best else "",
        )


def _pictures(count: int, height: int, width: int) -> Pixels:
    """Smooth pictures of all colours."""
    rng = np.random.default_rng(0)
    small = [Picture.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)) for _ in range(count)]
    return [np.asarray(picture.resize((width, height))) for picture in small]


def _ours(pictures: Pixels, size: int, name: str) -> dict[str, Side]:
    sides: dict[str, Side] = {}
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    samples = [Sample(i, {"image": picture}) for i, picture in enumerate(pictures)]
    generator = torch.Generator().manual_seed(0)
    for colour in ("exact", "matrix", "8-bit"):
        view: Any = build("view", {"use": name, "size": size, "colour": colour})

        def one_by_one(view: Any) -> None:
            for sample in samples:
                for key in (0, 1):
                    view(sample, np.random.default_rng((sample.id, key)))

        def together(view: Any) -> None:
            for _ in range(2):
                view.batched(batch, generator)

        sides[f"a sample at a time, {colour}"] = partial(one_by_one, view)
        if colour != "8-bit":
            sides[f"batched, {colour}"] = partial(together, view)
    return sides


def _torchvision(pictures: Pixels, size: int, jitter: Sequence[float], blur: bool) -> Side:
    steps = [
        v2.RandomResizedCrop(size, scale=(0.08, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomApply([v2.ColorJitter(*jitter)], p=0.8),
        v2.RandomGrayscale(0.2),
        *([v2.RandomApply([v2.GaussianBlur(KERNEL, SIGMA)], p=0.5)] if blur else []),
        v2.ToDtype(torch.float32, scale=True),
    ]
    transform = v2.Compose(steps)
    tensors = [torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures]
    return lambda: [(transform(x), transform(x)) for x in tensors]


def _lightly(pictures: Pixels, size: int, jitter: Sequence[float], blur: bool) -> Side | None:
    transform_of = peer("lightly.transforms", "SimCLRTransform", "lightly")
    if transform_of is None:
        return None
    transform = transform_of(
        input_size=size, cj_strength=jitter[0] / 0.8, gaussian_blur=0.5 if blur else 0.0, normalize=None
    )
    pils = [Picture.fromarray(picture) for picture in pictures]
    return lambda: [transform(picture) for picture in pils]


def _kornia(pictures: Pixels, size: int, jitter: Sequence[float], blur: bool) -> Side | None:
    k: dict[str, Any] = {name: peer("kornia.augmentation", name, "kornia") for name in _KORNIA}
    if None in k.values():
        return None
    transform = k["AugmentationSequential"](
        k["RandomResizedCrop"]((size, size), scale=(0.08, 1.0)),
        k["RandomHorizontalFlip"](),
        k["ColorJitter"](*jitter, p=0.8),
        k["RandomGrayscale"](p=0.2),
        *([k["RandomGaussianBlur"](KERNEL, SIGMA, p=0.5)] if blur else []),
    )
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()

    def side() -> None:
        images = batch.float() / 255
        transform(images)
        transform(images)

    return side


_KORNIA = (
    "AugmentationSequential", "RandomResizedCrop", "RandomHorizontalFlip", "ColorJitter", "RandomGrayscale",
    "RandomGaussianBlur",
)  # fmt: skip


def _albumentations(pictures: Pixels, size: int, jitter: Sequence[float], blur: bool) -> Side | None:
    a: dict[str, Any] = {name: peer("albumentations", name, "albumentations") for name in _ALBUMENTATIONS}
    if None in a.values():
        return None
    amounts: Mapping[str, tuple[float, float]] = {
        name: (1 - amount, 1 + amount)
        for name, amount in zip(("brightness", "contrast", "saturation"), jitter, strict=False)
    }
    transform = a["Compose"](
        [
            a["RandomResizedCrop"](size=(size, size), scale=(0.08, 1.0)),
            a["HorizontalFlip"](p=0.5),
            a["ColorJitter"](**amounts, hue=(-jitter[3], jitter[3]), p=0.8),
            a["ToGray"](p=0.2),
            *([a["GaussianBlur"](blur_limit=KERNEL, sigma_limit=SIGMA, p=0.5)] if blur else []),
        ]
    )

    def made(picture: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(transform(image=picture)["image"]).permute(2, 0, 1).float().div(255)

    return lambda: [(made(picture), made(picture)) for picture in pictures]


_ALBUMENTATIONS = (
    "Compose", "RandomResizedCrop", "HorizontalFlip", "ColorJitter", "ToGray", "GaussianBlur",
)  # fmt: skip
