"""What views do to log-mels, against the authors' ways, and of which distributions their draws are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tests.plugins.audio.sounds import RATE, noise, tone
from torch.nn import functional as F

from contrapose import build
from contrapose.errors import ConfigError, DataError
from contrapose.types import Sample
from contrapose_audio.fitted import Mixup, Normalise
from contrapose_audio.mel import LogMel
from contrapose_audio.mels import fader, mask, resize_crop, resizing
from contrapose_audio.recording import of_samples

BANDS, FRAMES = 40, 60


def draws(view: Any, count: int, mel: Any = None, **arguments: Any) -> Any:
    """(count, bands, frames) of one log-mel."""
    mel = torch.randn(BANDS, FRAMES) if mel is None else mel
    return view(mel.expand(count, 1, -1, -1), torch.Generator().manual_seed(0), **arguments)[:, 0]


def test_masks_are_of_specaugments_distribution() -> None:
    mel = torch.arange(BANDS * FRAMES).view(BANDS, FRAMES).float()
    for arguments, dim, count in (({"frame_masks": 0}, 1, BANDS), ({"band_masks": 0}, 0, FRAMES)):
        found = draws(mask, 4000, mel, bands=0.25, frames=0.25, **arguments)
        masked = (found == mel.mean()).all(dim=dim + 1).numpy()
        widths = masked.sum(axis=1)
        assert stats.chisquare(np.bincount(widths, minlength=count // 4 + 1)).pvalue > 0.001
        narrow = masked[widths == 1]
        assert stats.chisquare(narrow.sum(axis=0)).pvalue > 0.001
        assert ((np.diff(np.pad(masked, ((0, 0), (1, 1))).astype(int), axis=1) == 1).sum(axis=1) <= 1).all(), (
            "one piece"
        )
        assert torch.equal(found[~torch.from_numpy(masked).any(1)], mel.expand((widths == 0).sum(), -1, -1))
    twice = draws(mask, 500, mel, bands=0.0, frames=0.2, frame_masks=2)
    assert int((twice == mel.mean()).all(dim=1).sum(dim=1).max()) > 12


@pytest.mark.parametrize(("start", "length", "size"), [(0, 40, 40), (7, 24, 40), (0, 60, 40), (3, 1, 5), (2, 9, 33)])
def test_resizing_is_torchs_bicubic_of_the_piece(start: int, length: int, size: int) -> None:
    signal = torch.randn(60)
    made = resizing(torch.tensor([start]), torch.tensor([length]), 60, size)[0] @ signal
    piece = signal[start : start + length].view(1, 1, 1, -1)
    wanted = F.interpolate(piece, size=(1, size), mode="bicubic", align_corners=True).flatten()
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=0)


def authors(mel: Any, i: int, j: int, h: int, w: int) -> Any:
    """BYOL-A's crop of a canvas of 1 x 1.5, by its code."""
    canvas = torch.zeros(BANDS, int(FRAMES * 1.5))
    before = (canvas.shape[1] - FRAMES) // 2
    canvas[:, before : before + FRAMES] = mel
    piece = canvas[i : i + h, j : j + w]
    return F.interpolate(piece[None, None], size=mel.shape, mode="bicubic", align_corners=True)[0, 0]


class Said(np.random.Generator):
    """A generator whose uniform numbers are given."""

    def __init__(self, *numbers: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.numbers = list(numbers)

    def random(self, size: Any = None) -> Any:  # type: ignore[override]
        return np.full(size, self.numbers.pop(0))


@pytest.mark.parametrize("numbers", [(0.2, 0.9, 0.3, 0.5), (0.99, 0.0, 0.99, 0.99), (0.0, 0.5, 0.0, 0.01)], ids=str)
def test_resize_crop_is_the_authors(numbers: Any) -> None:
    """By the same numbers: int(U(.6, 1.5) n) of each dimension, within the canvas, and any place there."""
    mel = torch.randn(BANDS, FRAMES)
    made = resize_crop(mel[None], Said(*numbers))[0]
    height, width = BANDS, int(FRAMES * 1.5)
    h = min(int((0.6 + 0.9 * numbers[0]) * BANDS), height)
    w = min(int((0.6 + 0.9 * numbers[2]) * FRAMES), width)
    i, j = int(numbers[1] * (height - h + 1)), int(numbers[3] * (width - w + 1))
    torch.testing.assert_close(made, authors(mel, i, j, h, w), atol=1e-4, rtol=0)


def test_fader_is_a_line_between_uniform_ends() -> None:
    added = draws(fader, 3000, torch.zeros(BANDS, FRAMES), most=0.7).numpy()
    head, tail = added[:, 0, 0], added[:, 0, -1]
    for end in (head, tail):
        assert stats.kstest(end, stats.uniform(-0.7, 1.4).cdf).pvalue > 0.01
    assert abs(np.corrcoef(head, tail)[0, 1]) < 0.06
    np.testing.assert_allclose(added[:, 3], np.linspace(head, tail, FRAMES).T, atol=1e-6)


SOUNDS = [Sample(i, {"audio": of_samples(noise(0.5, i) + tone(0.5, 300 + i), RATE, 1)}) for i in range(7)]


def mels_of(samples: Any, seconds: float = 0.5) -> Any:
    """The log-mels of whole recordings."""
    return np.stack(
        [LogMel()(Sample(0, {"audio": s.data["audio"].read()}), np.random.default_rng(0))[0].data for s in samples]
    )


def test_mixup_adds_a_uniform_share_of_any_sound_as_powers_add() -> None:
    mixup = Mixup(seconds=0.5)
    mixup.fit(SOUNDS)
    others = torch.from_numpy(mels_of(SOUNDS)).half().float()
    torch.testing.assert_close(mixup.sounds.float().sort(0)[0], others.sort(0)[0])
    mel = torch.from_numpy(mels_of([Sample(0, {"audio": of_samples(noise(0.5, 99), RATE, 1)})]))
    found = mixup.batched(mel.expand(1000, -1, -1, -1), torch.Generator().manual_seed(0))
    # (found - x) = a (z - x) of exponentials: the a and z by which all bands and frames agree
    x, made = mel.exp(), found.exp()
    shares = (((made - x)[:, None] * (others.exp() - x)[None]).sum((2, 3, 4))) / (others.exp() - x).square().sum(
        (1, 2, 3)
    )
    mixed = (1 - shares[..., None, None, None]) * x + shares[..., None, None, None] * others.exp()
    off, which = (mixed - made[:, None]).abs().amax((2, 3, 4)).min(dim=1)
    assert float(off.max()) < 1e-3
    assert stats.chisquare(np.bincount(which)).pvalue > 0.001
    chosen = shares[torch.arange(1000), which].numpy()
    assert stats.kstest(chosen, stats.uniform(0, 0.4).cdf).pvalue > 0.001


def test_the_memory_is_a_random_part_of_the_recordings_and_what_cant_be_read_is_left_out() -> None:
    counts = np.zeros(7)
    broken = Sample(9, {"audio": of_samples(np.full(RATE, np.nan), RATE, 1)})
    many = [SOUNDS[i % 7] for i in range(210)]
    mixup = Mixup(memory=70, seconds=0.5)
    mixup.fit([broken, *many, broken])
    kinds = torch.from_numpy(mels_of(SOUNDS)).half()
    for sound in mixup.sounds:
        counts += [bool(torch.equal(sound, kind)) for kind in kinds]
    assert counts.sum() == 70
    assert stats.chisquare(counts).pvalue > 0.001
    with pytest.raises(
        DataError, match="no sound of the training split can be read: a sound: holds samples that are no numbers"
    ):
        mixup.fit([broken])
    with pytest.raises(DataError, match="there is none"):
        mixup.fit([])


def test_normalising_by_the_training_split_gives_mean_0_and_deviation_1() -> None:
    normalise = build("view", {"use": "audio/normalise", "seconds": 0.5}, modality="audio")
    normalise.fit(SOUNDS)
    mels = mels_of(SOUNDS)
    assert (normalise.mean, normalise.std) == (
        pytest.approx(mels.mean(), rel=1e-5),
        pytest.approx(mels.std(), rel=1e-5),
    )
    made = normalise.batched(torch.from_numpy(mels), torch.Generator())
    assert float(made.mean()) == pytest.approx(0, abs=1e-4)
    assert float(made.std()) == pytest.approx(1, abs=1e-3)


def test_what_isnt_fitted_or_is_of_another_shape_says_so() -> None:
    mel = Sample(0, {"audio": mels_of(SOUNDS[:1])[0]})
    with pytest.raises(ConfigError, match="isn't fitted"):
        Normalise()(mel, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="but was fitted on none"):
        Mixup()(mel, np.random.default_rng(0))
    mixup = Mixup(seconds=0.3)
    mixup.fit(SOUNDS)
    with pytest.raises(ConfigError, match=r"mixes log-mels \(1, 64, 48\), but was fitted on \(1, 64, 28\)"):
        mixup(mel, np.random.default_rng(0))
    with pytest.raises(DataError, match="expected a log-mel"):
        fader(tone(), np.random.default_rng(0))
