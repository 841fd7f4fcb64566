"""The mixers' contract passes a good one, and each check fails a mixer that is broken that way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.end_to_end import waves

from contrapose.testing import MixerContract
from contrapose.views import Mix

ECHOES = [{"echo": (np.cos(pitch * np.linspace(0, 6, 32)) * pitch).astype(np.float32)} for pitch in range(1, 6)]
CHECKS = (
    "test_it_is_a_mixer",
    "test_it_is_a_function_of_its_generator",
    "test_mixed_rows_are_like_those_they_are_made_of",
)


class Echoed(MixerContract):
    modality, cells = waves.Echo, ECHOES


def run(check: str, folder: Path, mixer: Any) -> None:
    it = type("TestIt", (Echoed,), {"component": mixer})()
    it.folder = folder
    getattr(it, check)()


def but(change: Any) -> type:
    """A mixer whose views go through ``change(made, views, generator)``."""

    class Broken(Mix):
        def mix(self, views, sample, generator):
            return change(super().mix(views, sample, generator), views, generator)

    return Broken


def _in_place(made: Any, views: Any, generator: Any) -> Any:
    views.data += 1
    return made


class Unnamed(Mix):
    """Nobody can send it to a worker."""

    def __reduce__(self):
        raise TypeError("stays here")


class Other(Mix):
    """Says another modality than it got."""

    def __init__(self, modality: str, of: str) -> None:
        super().__init__("wave", of)


class Speechless:
    """Doesn't say what it mixes."""

    def mix(self, views, sample, generator):
        return views


BROKEN = [
    (CHECKS[0], Speechless, "needs modality, of and mix"),
    (CHECKS[0], Unnamed, "must be picklable, but: TypeError: stays here"),
    (CHECKS[0], Other, "take modality as an argument"),
    (CHECKS[1], but(_in_place), "must not change its batch in place"),
    (CHECKS[1], but(lambda m, v, g: replace(m, data=m.data + torch.rand(1))), "drew from torch's default generator"),
    (CHECKS[1], but(lambda m, v, g: replace(v, data=v.data + 1)), "views never differ"),
    (CHECKS[1], but(lambda m, v, g: v.data), "gives a ViewBatch, not Tensor"),
    (CHECKS[1], but(lambda m, v, g: v.nothing), "must take a batch of the modality's views, but: AttributeError"),
    (CHECKS[2], but(lambda m, v, g: replace(m, modality="wave")), "made views of 'wave', not of 'echo'"),
    (CHECKS[2], but(lambda m, v, g: replace(m, data=m.data[:, :4])), "shapes and dtypes of views"),
    (CHECKS[2], but(lambda m, v, g: replace(m, index=0 * m.index)), "samples that have the view"),
    (CHECKS[2], but(lambda m, v, g: replace(m, data=v.data)), "tensor 0 has 1 rows, but index has 0"),
    (CHECKS[2], but(lambda m, v, g: replace(m, meta={"share": torch.ones(9)})), "share has 9 rows"),
]


@pytest.mark.parametrize("check", CHECKS)
def test_a_good_mixer_passes(check: str, tmp_path: Path) -> None:
    run(check, tmp_path, Mix)


@pytest.mark.parametrize(("check", "mixer", "says"), BROKEN, ids=[says for *_, says in BROKEN])
def test_each_check_fails_what_is_broken(check: str, mixer: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=says):
        run(check, tmp_path, mixer)
