from __future__ import annotations

import subprocess
import sys

from contrapose.plugins import registry


def test_the_plugin_module_is_light() -> None:
    code = (
        "import sys, contrapose_image.plugin as p; p.register_encoders(); p.register_view_generators();"
        "heavy = {'torch', 'numpy', 'torchvision', 'PIL'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_everything_on_offer_can_be_imported() -> None:
    reg = registry()
    names = [
        (kind, offer.name)
        for kind in ("modality", "view", "encoder")
        for offer in reg.offers(kind)
        if offer.prefix == "image"
    ]
    assert len(names) == 22
    for kind, name in names:
        assert (reg.load(kind, name).__doc__ or "").strip(), name
