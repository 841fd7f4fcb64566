"""The arguments of views: what a config may give, and what a config checks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Probability = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Range = tuple[Positive, Positive]
Turn = Annotated[float, Field(ge=0, le=0.5)]
Interpolation = Literal["bilinear", "bicubic", "nearest"]
Colour = Literal["exact", "matrix"]
RecipeColour = Literal["exact", "matrix", "8-bit"]
