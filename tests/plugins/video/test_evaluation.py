"""Videos are scored by the mean of the embeddings of clips that are spread over them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.plugins.video.films import film, shades

import contrapose
from contrapose import build
from contrapose.evaluate import evaluate
from contrapose.evaluate.knn import knn
from contrapose.evaluate.linear import probe
from contrapose.types import Sample

EVAL = {"use": "video/eval", "average": 3, "frames": 4, "stride": 2, "size": 24}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> contrapose.Run:
    """One step of CVRL on films of two classes, bright ones that stand still and ones that change; the shortest has one clip."""
    folder = tmp_path_factory.mktemp("films")
    lines = ["file,label,part"]
    for i in range(16):
        frames = shades(6 if i in (0, 9) else 20 + i)
        frames = frames if i % 2 else np.full_like(frames, 150 + 4 * i)
        (folder / f"{i}.mp4").write_bytes(film(frames))
        lines.append(f"{i}.mp4,{i % 2},{'train' if i < 8 else 'test'}")
    (folder / "films.csv").write_text("\n".join(lines))
    return contrapose.train(
        {
            "data": str(folder / "films.csv"),
            "modalities": {"video": "file"},
            "meta": {"label": "label"},
            "split": {"column": "part"},
            "views": {"video": {"use": "video/cvrl", "frames": 4, "size": 24, "then": "video/crop"}},
            "encoders": {"video": {"use": "video/small", "width": 4}},
            "method": {"use": "video/cvrl", "hidden": 8, "out": 6},
            "train": {"steps": 1, "batch_size": 8, "device": "cpu", "loggers": []},
            "evaluate": {"views": {"video": EVAL}, "evaluators": ["knn", "linear", "label-retrieval"]},
        },
        out=folder / "run",
        quiet=True,
    )


def by_hand(run: contrapose.Run, split: str) -> np.ndarray:
    """(n, D): the mean over each film's clips, one by one."""
    encoder, view, reader = run.encoder("video"), build("view", EVAL), run.reader(split)
    means = []
    for i in range(len(reader)):
        sample: Sample = reader[i]
        clips = [v.data for v in view(sample, np.random.default_rng(0))]
        assert len(clips) == (3 if sample.data["video"].duration > 1 else 1)
        with torch.no_grad():
            means.append(torch.stack([encoder(clip[None])["pooled"][0] for clip in clips]).mean(0).numpy())
    return np.stack(means)


def test_knn_linear_probe_and_retrieval_read_the_mean_over_the_clips(run: contrapose.Run) -> None:
    found = evaluate(run, draws=50)
    train, test = by_hand(run, "train"), by_hand(run, "test")
    for split, wanted in (("train", train), ("test", test)):
        z = found.embedded.tables(split, "pooled")["video"].z.numpy()
        np.testing.assert_allclose(z, wanted, rtol=1e-4, atol=1e-5)
    labels = np.arange(8) % 2
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (train - train.mean(0), test - train.mean(0))]
    nearest = (unit[1] @ unit[0].T).argmax(axis=1)
    right = {
        "class R@1": labels[nearest] == labels,
        "kNN": knn(torch.from_numpy(train), labels, torch.from_numpy(test)) == labels,
        "linear probe": probe("linear", train, labels, test).predicted == labels,
    }
    for metric, wanted in right.items():
        row = found.row(metric, "video")
        assert row.value == pytest.approx(wanted.mean())
        assert row.chance == pytest.approx(0.5)
        assert row.untrained is not None
        assert row.gain_interval is not None
    assert found.row("class R@5", "video").value >= found.row("class R@1", "video").value
