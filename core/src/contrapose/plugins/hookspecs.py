"""The hooks. A plugin module implements those that it needs, marked with ``contrapose.hookimpl``; each returns a list of ``Spec``.

Installing offers, config chooses: a hook declares components and never touches training. No tensor passes through here.
"""

from __future__ import annotations

from typing import Any

import pluggy

from contrapose.plugins.spec import GROUP, Spec

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_modalities() -> list[Spec]:  # type: ignore[empty-body]
    """Modalities: objects or classes with ``name``, ``dtype``, ``load``, ``collate`` and ``preview`` (``types.Modality``)."""


@hookspec
def register_view_generators() -> list[Spec]:  # type: ignore[empty-body]
    """View generators: functions decorated with ``@contrapose.view``, or factories of ``types.ViewGenerator`` or ``BatchMixer``."""


@hookspec
def register_encoders() -> list[Spec]:  # type: ignore[empty-body]
    """Encoders: factories of ``nn.Module`` with ``modality`` and ``dims`` (``types.Encoder``)."""


@hookspec
def register_heads() -> list[Spec]:  # type: ignore[empty-body]
    """Heads (projectors and predictors): factories of ``nn.Module`` that take the width of their input as ``dim``."""


@hookspec
def register_loss_heads() -> list[Spec]:  # type: ignore[empty-body]
    """Losses over pairs or sets of rows, and heads that come to a loss of their own."""


@hookspec
def register_relations() -> list[Spec]:  # type: ignore[empty-body]
    """Relations: who is positive for whom, and who counts in the denominator."""


@hookspec
def register_sources() -> list[Spec]:  # type: ignore[empty-body]
    """Sources of keys beyond the batch: queues, banks, prototypes."""


@hookspec
def register_readers() -> list[Spec]:  # type: ignore[empty-body]
    """Readers of datasets (``types.Reader``)."""


@hookspec
def register_evaluators() -> list[Spec]:  # type: ignore[empty-body]
    """Evaluators of a trained run."""


@hookspec
def register_methods() -> list[Spec]:  # type: ignore[empty-body]
    """Method presets: YAML files, or functions that return the same dict."""


@hookspec
def register_recipes() -> list[Spec]:  # type: ignore[empty-body]
    """Recipes: whole runs as YAML files (method, views, encoder, optimiser, schedule)."""


@hookspec
def register_loggers() -> list[Spec]:  # type: ignore[empty-body]
    """Loggers of a run's numbers."""


@hookspec
def register_commands(cli: Any) -> None:
    """Add commands to the command line: ``cli`` is a ``typer.Typer``. Import what a command needs inside its function."""


@hookspec(firstresult=True)
def reader_for(uri: str) -> str | None:
    """Name the reader for a data address (``"acme/shards"`` for ``s3://...tar``), or None where it isn't this plugin's."""
