"""What a plugin says of a component, and what the host makes of it. Light: importing this imports nothing else of ours."""

from __future__ import annotations

from dataclasses import dataclass

API = 0
"""The contract's major version. A plugin module declares the one that it was written for as ``CONTRAPOSE_API``."""

GROUP = "contrapose"
"""The entry-point group, and the project name for pluggy."""

KINDS = {
    "modality": "register_modalities",
    "view": "register_view_generators",
    "encoder": "register_encoders",
    "head": "register_heads",
    "loss": "register_loss_heads",
    "relation": "register_relations",
    "source": "register_sources",
    "reader": "register_readers",
    "evaluator": "register_evaluators",
    "method": "register_methods",
    "recipe": "register_recipes",
    "logger": "register_loggers",
}
"""Every kind of component, and the hook through which plugins offer it."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A component on offer: its name and where it is, without importing it.

    ``target`` is ``"package.module:attribute"``, imported on first use, or a data file ``"package:presets/simclr.yaml"``.
    ``requires`` lists importable modules that it needs beyond the plugin's own dependencies (``("lib",)``), and ``extra`` what
    to pip install when one lacks (``"acme-waves[lib]"``). ``paper`` is a citation or address. ``example`` is YAML of arguments
    under which a method that is a function is listed (``"pair: [a, b]"``).
    """

    name: str
    target: str
    summary: str = ""
    modality: str | None = None
    requires: tuple[str, ...] = ()
    extra: str | None = None
    paper: str | None = None
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A ``Spec`` as the host knows it: ``name`` is the full one (``acme/net``), from ``distribution`` ``version``."""

    kind: str
    name: str
    spec: Spec
    distribution: str
    version: str
    prefix: str | None = None

    @property
    def origin(self) -> str:
        """Who offers it, for messages: ``acme-waves 1.2``."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One installed plugin: ``status`` is ``ok``, ``broken: why``, ``missing: lib -> pip install ...`` or ``denied``."""

    distribution: str
    version: str
    prefix: str | None
    status: str
    offers: tuple[Offer, ...] = ()
