from __future__ import annotations

import subprocess
import sys

from contrapose.plugins import registry


def test_nothing_but_a_file_that_needs_it_imports_open3d() -> None:
    code = (
        "import sys, contrapose_pointcloud.modality as m, contrapose_pointcloud.encoders, contrapose_pointcloud.views;"
        "m.PointCloud().load({'c': b'OFF 3 1 0\\n0 0 0\\n1 0 0\\n0 1 0\\n3 0 1 2\\n'}, None); sys.exit('open3d' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_preset_is_crosspoints_loss() -> None:
    preset = registry().load("method", "crosspoint")
    assert isinstance(preset, dict)
    assert preset["branches"]["cloud"]["projector"] == {"use": "mlp", "hidden": 1024, "out": 256}
    assert preset["branches"]["image"]["projector"] == {"use": "mlp", "hidden": 512, "out": 256, "bias": False}
    assert {name: term["tau"] for name, term in preset["terms"].items()} == {"intra": 0.1, "cross": 0.1}
