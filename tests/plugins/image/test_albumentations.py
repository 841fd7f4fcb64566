from __future__ import annotations

import pickle
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from contrapose import ConfigError, DataError, Sample, build
from contrapose.errors import ContraposeError

Array = NDArray[np.uint8]
Node = str | dict[str, Any]
USED: list[Node] = [
    {"use": "GridDistortion", "num_steps": 4, "p": 1.0},
    {"use": "RandomResizedCrop", "size": [24, 24], "scale": [0.2, 1.0]},
    {"use": "ColorJitter", "p": 1.0},
    {"use": "GaussNoise", "p": 1.0},
    {"use": "CoarseDropout", "p": 1.0},
    {"use": "OneOf", "transforms": [{"use": "MotionBlur"}, {"use": "ISONoise"}], "p": 1.0},
    {"use": "Sequential", "transforms": ["HorizontalFlip", {"use": "Affine", "rotate": [-20, 20], "p": 1.0}], "p": 1.0},
]


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("albumentations", reason="pip install contrapose-image[albumentations]")


@pytest.mark.parametrize("node", USED, ids=lambda node: node["use"])
def test_a_transform_is_a_function_of_the_rng_alone(node: Node, photo: Array, library: Any) -> None:
    generator = pickle.loads(pickle.dumps(build("view", {"use": "image/albumentations", "transform": node})))

    def made(seed: int) -> torch.Tensor:
        return generator(Sample(0, {"image": photo}), np.random.default_rng(seed))[0].data

    kept = photo.copy()
    state, numpys = random.getstate(), np.random.get_state()[1].copy()
    first = made(0)
    assert random.getstate() == state
    assert (np.random.get_state()[1] == numpys).all()
    assert any(not torch.equal(made(seed), first) for seed in range(1, 10))
    assert torch.equal(made(0), first)
    assert first.dtype == torch.float32
    assert 0 <= first.min() < first.max() <= 1
    assert (photo == kept).all()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("GridDistorsion", "no transform 'GridDistorsion'; did you mean 'GridDistortion'"),
        ("os.system", "no transform"),
        ({"use": "GridDistortion", "steps": 3}, "no argument 'steps'"),
        ({"use": "GridDistortion", "num_steps": "many"}, "integer|whole"),
        ({"use": "OneOf", "transforms": ["print"]}, "no transform 'print'"),
        ({"use": "Lambda", "image": "print"}, "a config runs no code"),
        ("ToTensorV2", "tensors already"),
        ("RandomCrop3D", "no transform"),
    ],
)
def test_misuse_is_one_line_before_the_run(node: Node, message: str, library: Any) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build("view", {"use": "image/albumentations", "transform": node}, ("views", "image"))
    assert "\n" not in str(caught.value)
    assert caught.value.path[:3] == ("views", "image", "transform")


def test_a_picture_that_does_not_fit_is_one_line(photo: Array, library: Any) -> None:
    generator = build(
        "view", {"use": "image/albumentations", "transform": {"use": "RandomCrop", "height": 500, "width": 500}}
    )
    with pytest.raises(DataError, match="RandomCrop") as caught:
        generator(Sample(0, {"image": photo}), np.random.default_rng(0))
    assert "\n" not in str(caught.value)


def test_without_albumentations_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ContraposeError, match=r"pip install 'contrapose-image\[albumentations\]'"):
        build("view", {"use": "image/albumentations", "transform": "Affine"})
