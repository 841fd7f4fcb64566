from __future__ import annotations

import subprocess
import sys

import pytest

from contrapose.cli import main


def test_nothing_but_making_an_encoder_imports_transformers() -> None:
    code = (
        "import sys, contrapose_text.modality as m, contrapose_text.encoders, contrapose_text.views;"
        "t = m.Text(); t.fit([{'a': 'oak chair'}]); t.collate(['oak']); sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_show_tells_what_a_user_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "view", "text/dropout"]) == 0
    assert "dropout of the encoder that reads them" in capsys.readouterr().out
    assert main(["show", "encoder", "text/transformer"]) == 0
    shown = capsys.readouterr().out
    assert "dropout: float (>= 0, < 1) = 0.1" in shown
    assert "pooling: Literal['cls', 'mean', 'max', 'first-last', 'last-two'] = 'mean'" in shown
