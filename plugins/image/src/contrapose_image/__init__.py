"""Images for contrapose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contrapose_image.pixels import to_tensor as to_tensor

__all__ = ["to_tensor"]


def __getattr__(name: str) -> Any:  # the plugin module, below this one, must load without torch
    if name == "to_tensor":
        from contrapose_image.pixels import to_tensor

        return to_tensor
    raise AttributeError(f"module 'contrapose_image' has no attribute {name!r}")
