"""docs/audio.md is followed as it stands, on sounds that are computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.end_to_end.transcript import FENCE
from tests.plugins.audio.sounds import file, noise, tone

from contrapose.config import Config, build
from contrapose.engine.build import Parts

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/audio.md").read_text()
SNIPPETS = FENCE.findall(TEXT)


def test_its_python_prints_what_it_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    texts = [text for language, text in SNIPPETS if language == "python"]
    for text in texts:
        space: dict[str, Any] = {}
        exec(compile(text, "docs/audio.md", "exec"), space)
        assert capsys.readouterr().out.strip() == text.split("  # ")[2].splitlines()[0]
        assert space["picture"].startswith(b"\x89PNG")
    assert len(texts) == 1


def test_its_configs_make_batches(tmp_path: Path) -> None:
    lines = ["file"]
    for i in range(4):
        (tmp_path / f"{i}.wav").write_bytes(file(tone(1.5, 300 + i) + noise(1.5, i)))
        lines.append(f"{i}.wav")
    (tmp_path / "sounds.csv").write_text("\n".join(lines))
    seen = []
    for language, text in SNIPPETS:
        if language != "yaml":
            continue
        said = YAML(typ="safe", pure=True).load(text)
        if "views" not in said:
            assert build("modality", {"use": "audio", "rate": said["modalities"]["audio"]["rate"]}).rate == 16000
            continue
        config = {
            "data": str(tmp_path / "sounds.csv"),
            "split": "none",
            "modalities": {"audio": "file"},
            "encoders": {"audio": {"use": "audio/small", "width": 2}},
            "method": "simclr",
            "train": {"batch_size": 4, "workers": 0, "device": "cpu"},
            **said,
        }
        parts = Parts(Config.of(config))
        seen += [tuple(view.data.shape) for view in next(iter(parts.train_loader())).views.values()]
        assert parts.eval_plan.names
    assert seen == [(4, 1, 64, 98)] * 4 + [(4, 1, 64, 96)] * 2 + [(4, 1, 16000)]
