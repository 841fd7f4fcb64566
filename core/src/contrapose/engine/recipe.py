"""A recipe is a whole run; a config that names one changes what it likes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contrapose.config import Config
from contrapose.errors import ConfigError, PluginError
from contrapose.plugins import registry


def with_recipe(config: Config) -> Config:
    """The config laid over the recipe that it names, key by key; the same config where it names none.

    A component of another name (``use``) replaces the recipe's with all its arguments. Raises ``ConfigError`` for an unknown one.
    """
    name = config.data.get("recipe")
    if name is None:
        return config
    if not isinstance(name, str):
        raise ConfigError(f"expected a recipe's name, got {name!r}", path=("recipe",))
    try:
        recipe = registry().load("recipe", name)
    except PluginError as e:
        raise ConfigError(str(e), path=("recipe",)) from e
    assert isinstance(recipe, dict)
    whole = Config.of(config)
    above = {k: v for k, v in config.data.items() if k != "recipe"}
    if isinstance(above.get("split"), Mapping) and "column" in above["split"]:  # it stands alone
        recipe = {k: v for k, v in recipe.items() if k != "split"}
    whole.data = lay_over(recipe, above)
    return whole


VALUES = ("positives", "denominator", "tau")
"""Keys under which text isn't a component's name: predicates, and temperatures that terms share."""


def lay_over(below: Any, above: Any, key: str = "") -> Any:
    """``above`` where it says something, ``below`` elsewhere. Arguments laid over a component's name are that component's."""
    if isinstance(below, str) and isinstance(above, Mapping) and "use" not in above and key not in VALUES:
        below = {"use": below}
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    if "use" in above and above["use"] != below.get("use"):
        return above
    return {**below, **{k: lay_over(below.get(k), v, k) for k, v in above.items()}}
