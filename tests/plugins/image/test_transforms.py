from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2

from contrapose import ConfigError, DataError, Sample, build
from contrapose.views import ViewPlan
from contrapose_image import to_tensor
from contrapose_image.transforms import REFUSED

Array = NDArray[np.uint8]
Node = str | dict[str, Any]
USED: list[Node] = [
    {"use": "RandomPerspective", "distortion_scale": 0.3, "p": 1.0, "interpolation": "bilinear"},
    {"use": "RandomAffine", "degrees": 20, "translate": [0.1, 0.1], "scale": [0.8, 1.2]},
    {"use": "RandomRotation", "degrees": [-10, 10]},
    {"use": "RandomResizedCrop", "size": 32, "scale": [0.2, 1.0]},
    {"use": "ElasticTransform", "alpha": 20.0},
    {"use": "RandomErasing", "p": 1.0, "inplace": True},
    {"use": "GaussianNoise", "sigma": 0.05},
    {"use": "ColorJitter", "brightness": 0.4, "hue": [-0.1, 0.1]},
    {"use": "AutoAugment", "policy": "cifar10"},
    "RandAugment",
    "TrivialAugmentWide",
    {"use": "AugMix", "severity": 5},
    {"use": "JPEG", "quality": [5, 50]},
    "RandomChannelPermutation",
    {
        "use": "RandomApply",
        "transforms": [{"use": "GaussianBlur", "kernel_size": 5}, {"use": "JPEG", "quality": [5, 30]}],
        "p": 1.0,
    },
    {
        "use": "RandomChoice",
        "transforms": [{"use": "RandomInvert", "p": 1.0}, {"use": "RandomPosterize", "bits": 2, "p": 1.0}],
    },
]


def name_of(node: Node) -> str:
    return node if isinstance(node, str) else node["use"]


def made(node: Node, image: Any, seed: int = 0) -> Tensor:
    (found,) = build("view", {"use": "image/torchvision", "transform": node})(
        Sample(0, {"image": image}), np.random.default_rng(seed)
    )
    return found.data


@pytest.mark.parametrize("node", USED, ids=name_of)
def test_a_transform_is_a_function_of_the_rng_alone(node: Node, photo: Array) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = made(node, photo)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(made(node, photo), first)
    assert any(not torch.equal(made(node, photo, seed), first) for seed in range(1, 10))
    assert first.dtype == torch.float32
    assert 0 <= first.min() < first.max() <= 1


def test_it_is_torchvisions_under_the_same_seed(photo: Array) -> None:
    found = made(USED[0], photo, 5)
    seed = int(np.random.default_rng(5).integers(2**63))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = v2.RandomPerspective(distortion_scale=0.3, p=1.0)(to_tensor(photo))
    torch.testing.assert_close(found, expected.clamp(0, 1))


def test_a_float_picture_is_not_written_into(photo: Array) -> None:
    image = to_tensor(photo)
    kept = image.clone()
    assert not torch.equal(made({"use": "RandomErasing", "p": 1.0, "inplace": True}, image), kept)
    assert torch.equal(image, kept)


def test_it_can_be_pickled_and_composed(photo: Array) -> None:
    steps = [{"use": "image/torchvision", "transform": USED[0]}, {"use": "image/resize", "size": 16}]
    plan = pickle.loads(pickle.dumps(ViewPlan.from_config({"image": {"use": steps}}, ["a", "b"], build, ["image"])))
    assert [v.data.shape for v in plan.make(Sample(0, {"image": photo}), 0, 0)] == [(3, 16, 16)] * 2
    assert "RandomPerspective" in repr(plan.generators["image"])
    assert "\n" not in repr(plan.generators["image"])


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("RandomPerspectiv", r"no transform 'RandomPerspectiv'; did you mean 'RandomPerspective'"),
        ("os.system", r"no transform 'os\.system'"),
        ("Transform", "no transform"),
        ("functional", "no transform"),
        ({"use": "RandomPerspective", "distortion": 0.3}, "no argument 'distortion'.*'distortion_scale'"),
        ({"use": "RandomPerspective", "distortion_scale": 3.0}, "between 0 and 1"),
        ({"use": "RandomPerspective", "p": "often"}, "number"),
        ({"use": "GaussianBlur"}, "needs 'kernel_size'"),
        ({"use": "RandomApply", "transforms": [{"use": "GausianBlur"}]}, "did you mean 'GaussianBlur'"),
        ({"use": "RandomApply", "transforms": ["print"]}, "no transform 'print'"),
        ({"use": "RandomApply", "transforms": [3]}, "no transform '3'"),
        ({"use": "Lambda", "lambd": "print"}, "a config runs no code"),
        ({"use": "SanitizeBoundingBoxes", "labels_getter": 3}, "labels_getter|callable"),
        ("Normalize", "each encoder normalises"),
        ("TenCrop", "several pictures"),
        ("MixUp", "mixes a batch"),
        ({}, "no transform ''"),
    ],
)
def test_misuse_is_one_line_before_the_run(node: Node, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build("view", {"use": "image/torchvision", "transform": node}, ("views", "image"))
    assert "\n" not in str(caught.value)
    assert caught.value.path[:3] == ("views", "image", "transform")


def test_a_picture_that_does_not_fit_is_one_line(photo: Array) -> None:
    for node, message in (
        ({"use": "RandomCrop", "size": 500}, "RandomCrop.*larger"),
        ("Grayscale", r"no picture \(3, H, W\), but \(1, 60, 80\)"),
        ("ToPILImage", "no picture"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            made(node, photo)
        assert "\n" not in str(caught.value)


def test_what_is_refused_exists() -> None:
    assert all(hasattr(v2, name) for name in REFUSED)
