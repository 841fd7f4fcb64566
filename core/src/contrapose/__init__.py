"""Contrastive pretraining of any modality, and across modalities, by plugins.

Names are imported on first use, so that ``import contrapose`` loads neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from contrapose.errors import CheckpointError, ConfigError, ContraposeError, DataError, PluginError
from contrapose.plugins.spec import Spec

if TYPE_CHECKING:
    from contrapose.branches.branch import Branch as Branch
    from contrapose.config import Config as Config
    from contrapose.config import build as build
    from contrapose.engine.run import Run as Run
    from contrapose.engine.run import load as load
    from contrapose.engine.run import train as train
    from contrapose.methods.method import Method as Method
    from contrapose.methods.term import Key as Key
    from contrapose.methods.term import Term as Term
    from contrapose.plugins import registry as registry
    from contrapose.plugins.decorators import encoder as encoder
    from contrapose.plugins.decorators import loss as loss
    from contrapose.plugins.decorators import modality as modality
    from contrapose.plugins.hookspecs import hookimpl as hookimpl
    from contrapose.types import Batch as Batch
    from contrapose.types import Rows as Rows
    from contrapose.types import Sample as Sample
    from contrapose.types import View as View
    from contrapose.types import ViewBatch as ViewBatch
    from contrapose.views.decorator import view as view

_LAZY = {
    "Batch": "contrapose.types",
    "Branch": "contrapose.branches.branch",
    "Config": "contrapose.config",
    "Key": "contrapose.methods.term",
    "Method": "contrapose.methods.method",
    "Rows": "contrapose.types",
    "Run": "contrapose.engine.run",
    "Sample": "contrapose.types",
    "Term": "contrapose.methods.term",
    "View": "contrapose.types",
    "ViewBatch": "contrapose.types",
    "build": "contrapose.config",
    "encoder": "contrapose.plugins.decorators",
    "hookimpl": "contrapose.plugins.hookspecs",
    "load": "contrapose.engine.run",
    "loss": "contrapose.plugins.decorators",
    "modality": "contrapose.plugins.decorators",
    "registry": "contrapose.plugins",
    "train": "contrapose.engine.run",
    "view": "contrapose.views.decorator",
}

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ContraposeError",
    "DataError",
    "PluginError",
    "Spec",
    "__version__",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("contrapose")
    if name not in _LAZY:
        raise AttributeError(f"module 'contrapose' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
