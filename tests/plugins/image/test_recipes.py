from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contrapose import ConfigError, Sample, build
from contrapose.views import ViewPlan
from contrapose_image import to_tensor, views

Array = NDArray[np.uint8]
MULTI_CROP = ["swav-global", "swav-local", "dino-global-1", "dino-global-2", "dino-local"]
MOCO_V3 = ["moco-v3-a", "moco-v3-b"]
RECIPES = [
    "simclr",
    "simclr-cifar",
    "moco-v1",
    "moco-v2",
    "byol-a",
    "byol-b",
    *MOCO_V3,
    *MULTI_CROP,
    "crosspoint",
    "eval",
]
STEPS = ["random-resized-crop", "flip", "color-jitter", "grayscale", "blur", "solarize", "resize"]


def jitter(b: float, c: float, s: float, h: float, p: float = 0.8) -> tuple[str, dict[str, float]]:
    return "color_jitter", {"brightness": b, "contrast": c, "saturation": s, "hue": h, "p": p}


def crop(size: int, least: float, most: float = 1.0) -> tuple[str, dict[str, Any]]:
    return "random_resized_crop", {"size": size, "scale": (least, most)}


def bicubic(size: int, least: float, most: float = 1.0) -> tuple[str, dict[str, Any]]:
    return "random_resized_crop", {"size": size, "scale": (least, most), "interpolation": "bicubic"}


def uncut(p: float) -> tuple[str, dict[str, float]]:
    return "blur", {"p": p, "kernel": 23}


GRAY = ("grayscale", {"p": 0.2})
PAPERS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "simclr": [crop(224, 0.08), ("flip", {}), jitter(0.8, 0.8, 0.8, 0.2), GRAY, ("blur", {"p": 0.5})],
    "simclr_cifar": [crop(32, 0.08), ("flip", {}), jitter(0.4, 0.4, 0.4, 0.1), GRAY],
    "moco_v1": [crop(224, 0.2), GRAY, jitter(0.4, 0.4, 0.4, 0.4, p=1.0), ("flip", {})],
    "moco_v2": [
        crop(224, 0.2), jitter(0.4, 0.4, 0.4, 0.1), GRAY, ("blur", {"p": 0.5}), ("flip", {}),
    ],
    "byol_a": [bicubic(224, 0.08), ("flip", {}), jitter(0.4, 0.4, 0.2, 0.1), GRAY, ("blur", {"p": 1.0})],
    "byol_b": [
        bicubic(224, 0.08), ("flip", {}), jitter(0.4, 0.4, 0.2, 0.1), GRAY, ("blur", {"p": 0.1}), ("solarize", {"p": 0.2}),
    ],
    "moco_v3_a": [crop(224, 0.2), jitter(0.4, 0.4, 0.2, 0.1), GRAY, ("blur", {"p": 1.0}), ("flip", {})],
    "moco_v3_b": [
        crop(224, 0.2), jitter(0.4, 0.4, 0.2, 0.1), GRAY, ("blur", {"p": 0.1}), ("solarize", {"p": 0.2}), ("flip", {}),
    ],
    "swav_global": [crop(224, 0.14), ("flip", {}), jitter(0.8, 0.8, 0.8, 0.2), GRAY, uncut(0.5)],
    "swav_local": [crop(96, 0.05, 0.14), ("flip", {}), jitter(0.8, 0.8, 0.8, 0.2), GRAY, uncut(0.5)],
    "dino_global_1": [bicubic(224, 0.4), ("flip", {}), jitter(0.4, 0.4, 0.2, 0.1), GRAY, uncut(1.0)],
    "dino_global_2": [
        bicubic(224, 0.4), ("flip", {}), jitter(0.4, 0.4, 0.2, 0.1), GRAY, uncut(0.1), ("solarize", {"p": 0.2}),
    ],
    "dino_local": [bicubic(96, 0.05, 0.4), ("flip", {}), jitter(0.4, 0.4, 0.2, 0.1), GRAY, uncut(0.5)],
    "crosspoint": [("resize", {"size": 224}), jitter(0.4, 0.4, 0.4, 0.0, p=1.0), ("flip", {})],
}  # fmt: skip


@pytest.mark.parametrize("name", PAPERS)
def test_recipes_are_the_papers_steps(name: str, photo: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    for step in {step for steps in PAPERS.values() for step, _ in steps}:
        monkeypatch.setattr(views, step, lambda image, rng, _s=step, **kw: seen.append((_s, kw)) or image)
    getattr(views, name)(photo, np.random.default_rng(0))
    assert [s for s, _ in seen] == [s for s, _ in PAPERS[name]]
    for (_, made), (step, expected) in zip(seen, PAPERS[name], strict=True):
        assert made.pop("colour", "exact") == "exact"
        assert made == pytest.approx(expected) if step == "color_jitter" else made == expected


@pytest.mark.parametrize("name", RECIPES)
def test_views_have_the_size_asked_for_and_stay_in_range(name: str, photo: Array) -> None:
    generator = build("view", {"use": f"image/{name}", "size": 48})
    for seed in range(10):
        (made,) = generator(Sample(0, {"image": photo}), np.random.default_rng(seed))
        assert made.data.shape == (3, 48, 48)
        assert made.data.dtype == torch.float32
        assert made.data.min() >= -1e-6
        assert made.data.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", RECIPES + STEPS)
def test_same_rng_same_view_and_no_global_state(name: str, photo: Array) -> None:
    generator = pickle.loads(pickle.dumps(build("view", f"image/{name}")))
    sample = Sample(0, {"image": photo})
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first = generator(sample, np.random.default_rng((1, 2)))[0].data
    torch.manual_seed(99)
    random.seed(99)
    assert torch.equal(generator(sample, np.random.default_rng((1, 2)))[0].data, first)
    torch.set_rng_state(states[0])
    random.setstate(states[1])
    generator(sample, np.random.default_rng(3))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()


@pytest.mark.parametrize(
    ("views_of", "sides"),
    [
        (
            {
                "image.global_*": {"use": "image/swav-global", "size": 32},
                "image.local_*": {"use": "image/swav-local", "size": 16},
            },
            [32] * 2 + [16] * 6,
        ),
        (
            {
                "image.global_0": {"use": "image/dino-global-1", "size": 32},
                "image.global_1": {"use": "image/dino-global-2", "size": 32},
                "image.local_*": {"use": "image/dino-local", "size": 16},
            },
            [32] * 2 + [16] * 8,
        ),
    ],
)
def test_multi_crop_fills_its_methods_slots(views_of: dict[str, Any], sides: list[int], photo: Array) -> None:
    slots = {"global": 2, "local": len(sides) - 2}
    plan = ViewPlan.from_config(views_of, slots, build, ["image"])
    made = {v.name: v.data for v in plan.make(Sample(0, {"image": photo}), 0, 0)}
    names = [f"image/global_{i}" for i in range(2)] + [f"image/local_{i}" for i in range(len(sides) - 2)]
    assert {name: made[name].shape[-1] for name in names} == dict(zip(names, sides, strict=True))
    assert len({data.sum().item() for data in made.values()}) == len(sides)


def test_evaluation_keeps_proportions_and_takes_the_centre() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, 50:150] = 255
    kept = views.evaluation(image, np.random.default_rng(0), size=56, crop=1.0)
    assert kept.shape == (3, 56, 56)
    assert kept.min() > 0.8  # the square in the middle, its edge blended by the resize
    whole = views.evaluation(image, np.random.default_rng(0), size=224)
    assert whole.shape == (3, 224, 224)


def test_evaluation_of_one_size_is_the_image_itself(photo: Array) -> None:
    square = photo[:48, :48]
    assert torch.equal(views.evaluation(square, np.random.default_rng(0), size=48, crop=1.0), to_tensor(square))


def test_wrong_parameters_are_refused_before_the_run() -> None:
    for node in (
        {"use": "image/simclr", "strength": 3.0},
        {"use": "image/color-jitter", "hue": 0.6},
        {"use": "image/flip", "p": 1.5},
        {"use": "image/simclr", "size": 0},
        {"use": "image/resize", "interpolation": "cubic"},
    ):
        with pytest.raises(ConfigError):
            build("view", node)
