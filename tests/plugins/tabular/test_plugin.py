from __future__ import annotations

import subprocess
import sys

from contrapose.plugins import registry


def test_the_plugin_module_is_light() -> None:
    code = (
        "import sys, contrapose_tabular.plugin as p; p.register_encoders(); p.register_view_generators();"
        "p.register_modalities(); p.register_methods();"
        "heavy = {'torch', 'numpy', 'pyarrow', 'pydantic'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_everything_on_offer_can_be_imported() -> None:
    reg = registry()
    names = [
        (kind, offer.name)
        for kind in ("modality", "view", "encoder", "method")
        for offer in reg.offers(kind)
        if offer.prefix == "tabular"
    ]
    assert sorted(names) == [
        ("encoder", "tabular/mlp"),
        ("method", "tabular/scarf"),
        ("modality", "tabular/tabular"),
        ("view", "tabular/eval"),
        ("view", "tabular/scarf"),
    ]
    for kind, name in names:
        loaded = reg.load(kind, name)
        assert isinstance(loaded, dict) if kind == "method" else (loaded.__doc__ or "").strip(), name
