"""Rows of tables for contrapose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrapose_tabular.profile import infer_schema as infer_schema

__all__ = ["infer_schema"]


def __getattr__(name: str) -> Any:
    """Imported on first use: a plugin is listed without numpy."""
    if name == "infer_schema":
        from contrapose_tabular.profile import infer_schema

        return infer_schema
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
