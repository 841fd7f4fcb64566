"""What a plugin says of a component, and what the host makes of it. Light: importing this imports nothing else of ours."""

from __future__ import annotations

from dataclasses import dataclass

API = 1
"""The contract's number, frozen (docs/compatibility.md). A plugin says which it was written for: ``CONTRAPOSE_API``."""

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


def wrong(spec: object) -> str | None:
    """What is wrong with something that a hook returned as a ``Spec``, or None. Plugins aren't type-checked by their users."""
    if not isinstance(spec, Spec):
        return f"expected contrapose.Spec, got {spec!r:.80}"
    for name in ("name", "target", "summary"):
        if not isinstance(getattr(spec, name), str):
            return f"{name} of {spec!r:.80} must be text"
    for name in ("modality", "extra", "paper", "example"):
        if not isinstance(getattr(spec, name), (str, type(None))):
            return f"{name} of Spec {spec.name!r} must be text or None, not {getattr(spec, name)!r:.40}"
    if not isinstance(spec.requires, (tuple, list)) or not all(isinstance(r, str) for r in spec.requires):
        return f"requires of Spec {spec.name!r} must be a tuple of module names, not {spec.requires!r:.40}"
    if not spec.name or "/" in spec.name or ":" in spec.name or spec.name != spec.name.strip():
        return f"the name {spec.name!r} must be a word without '/' and ':'; the prefix is put in front of it"
    if not all(spec.target.partition(":")):
        return f"target of Spec {spec.name!r} must be 'package.module:attribute', not {spec.target!r:.60}"
    return None


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
    """One installed plugin: ``status`` is ``ok``, ``broken: why``, ``missing: lib -> pip install ...`` or ``denied``.

    ``notes`` says what is worth knowing of one that works: it is slow, it prints, it uses something deprecated.
    """

    distribution: str
    version: str
    prefix: str | None
    status: str
    offers: tuple[Offer, ...] = ()
    notes: tuple[str, ...] = ()
