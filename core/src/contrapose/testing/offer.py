"""What listing the plugins of a distribution imports, seen in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib import metadata

from contrapose.plugins.spec import GROUP, Offer

_LIST = """
import sys
import contrapose
from contrapose.plugins import KINDS, registry
for kind in KINDS:
    registry().offers(kind)
print(*sys.modules)
"""


HOST = "contrapose"


def imported_by_listing(distribution: str) -> frozenset[str]:
    """The modules that a process has which lists the offers of one distribution beside the core's, or the core's alone."""
    return _imported(distribution, () if distribution == HOST else tuple(sys.path))


@cache
def _imported(distribution: str, path: tuple[str, ...]) -> frozenset[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "CONTRAPOSE_PLUGINS_ALLOW": distribution,
    }
    done = subprocess.run([sys.executable, "-c", _LIST], env=environment, capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


def needless_imports(offer: Offer) -> list[str]:
    """What listing an offer imports, though only its use would need it: torch, numpy, its target, and what it ``requires``."""
    found = imported_by_listing(offer.distribution)
    target = offer.spec.target.partition(":")[0]
    own = [p.value for p in metadata.entry_points(group=GROUP) if p.name == offer.prefix]
    inside = any(f"{value.partition(':')[0]}.".startswith(f"{target}.") for value in own)  # its package, or itself
    lazy = ["torch", "numpy", *offer.spec.requires, *([] if inside else [target])]
    return [name for name in dict.fromkeys(lazy) if name in found]
