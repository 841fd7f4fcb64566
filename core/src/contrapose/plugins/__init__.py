"""Plugins: what may be offered (``spec``, ``hookspecs``), what is (``manager``), and the way to it by name (``registry``)."""

from contrapose.plugins.registry import Registry, configure
from contrapose.plugins.registry import registry as registry
from contrapose.plugins.spec import API, KINDS, Offer, PluginStatus, Spec

__all__ = ["API", "KINDS", "Offer", "PluginStatus", "Registry", "Spec", "configure", "registry"]
