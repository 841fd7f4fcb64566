from __future__ import annotations

import subprocess
import sys

import pytest

from contrapose.cli import main
from contrapose.plugins import registry


def test_the_plugin_module_is_light() -> None:
    code = (
        "import sys, contrapose_text.plugin as p; p.register_encoders(); p.register_view_generators();"
        "heavy = {'torch', 'numpy', 'tokenizers', 'transformers'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_but_making_an_encoder_imports_transformers() -> None:
    code = (
        "import sys, contrapose_text.modality as m, contrapose_text.encoders, contrapose_text.views;"
        "t = m.Text(); t.fit([{'a': 'oak chair'}]); t.collate(['oak']); sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_everything_on_offer_can_be_imported() -> None:
    reg = registry()
    names = [
        (kind, offer.name)
        for kind in ("modality", "view", "encoder")
        for offer in reg.offers(kind)
        if offer.prefix == "text"
    ]
    assert len(names) == 8
    for kind, name in names:
        assert (reg.load(kind, name).__doc__ or "").strip(), name


def test_show_tells_what_a_user_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "view", "text/dropout"]) == 0
    assert "dropout of the encoder that reads them" in capsys.readouterr().out
    assert main(["show", "encoder", "text/transformer"]) == 0
    shown = capsys.readouterr().out
    assert "dropout: float (>= 0, < 1) = 0.1" in shown
    assert "pooling: Literal['cls', 'mean', 'max', 'first-last'] = 'mean'" in shown
