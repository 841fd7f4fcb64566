"""Whether installed distributions work where the repository isn't: run by release-check in an empty folder."""

from __future__ import annotations

import json
import sys
from importlib.metadata import distributions, files, metadata, version
from pathlib import Path

import contrapose
from contrapose.cli import main
from contrapose.plugins import KINDS, registry

OURS = sorted(d.name for d in distributions() if d.name == "contrapose" or d.name.startswith("contrapose-"))
HERE = Path.cwd().resolve()


def check(holds: object, what: str) -> None:
    """End with one line where something doesn't hold."""
    if not holds:
        sys.exit(f"smoke: {what}")


check(
    Path(contrapose.__file__).resolve().is_relative_to(Path(sys.prefix).resolve()), "contrapose isn't the installed one"
)
check(len(OURS) == 7, f"installed are {OURS}")
check(len({version(name) for name in OURS}) == 1, "the versions differ")
for name in OURS:
    listed = {path.name for path in files(name) or ()}
    check({"py.typed", "LICENSE", "NOTICE"} <= listed, f"{name} lacks { ({'py.typed', 'LICENSE', 'NOTICE'} - listed) }")
    check(metadata(name)["License-Expression"] == "Apache-2.0", f"{name} has no licence expression")
    check(len(str(metadata(name).get_payload())) > 300, f"{name} has no long description")

for plugin in registry().plugins():
    fine = plugin.status == "ok" or plugin.distribution == "acme-pulse"
    check(fine and not plugin.notes, f"{plugin.distribution}: {plugin.status} {plugin.notes}")
loaded = 0
for kind in KINDS:
    for offer in registry().offers(kind):
        if offer.name not in ("pulse/cloud", "metric-learning"):  # one lacks its package by intent, one needs an extra
            registry().load(kind, offer.name)
            loaded += 1
check(loaded > 100, f"only {loaded} components")

config = {
    "data": "pulse:40",
    "modalities": {"pulse": "pulse"},
    "views": {"pulse": {"use": "pulse/jitter", "sigma": 0.2}},
    "encoders": {"pulse": "pulse/net"},
    "method": "simclr",
    "train": {"steps": 5, "batch_size": 8, "lr": 1e-2, "workers": 1, "threads": 1, "device": "cpu"},
}
Path("smoke.yaml").write_text(json.dumps(config))
check(main(["train", "smoke.yaml", "--out", "runs/smoke"]) == 0, "train fails")
check(main(["train", "--resume", "runs/smoke", "--set", "train.steps=8"]) == 0, "a resume fails")
check(main(["report", "runs/smoke"]) == 0, "report fails")
check(contrapose.load("runs/smoke").embed("train")["pulse"].z.shape == (40, 128), "embedding fails")
print(f"smoke: {loaded} components of {len(OURS)} distributions load, and a run trains, goes on, and is reported")
