"""Modules by names that a user chose."""

from __future__ import annotations

from torch import nn

from contrapose.errors import ConfigError


class Named(nn.ModuleDict):
    """A ``ModuleDict`` in which any word is a name: a term may be called ``values``, though the class has such a method."""

    def __setitem__(self, key: str, module: nn.Module) -> None:
        if not key or set(key) & set("./"):
            raise ConfigError(f"{key!r} is no name: '.' and '/' have a meaning in references")
        self._modules[key] = module
