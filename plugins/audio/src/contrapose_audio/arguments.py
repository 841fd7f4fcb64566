"""The arguments of views and of the modality: what a config may give, and what a config checks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]
Decoder = Literal["soundfile", "torchcodec", "pyav"]
Short = Literal["pad", "loop", "skip"]
