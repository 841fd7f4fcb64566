"""The validated top level of a config. Components (views, encoders, method, ...) stay plain: their own signatures check them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from contrapose.config.messages import explain, unknown
from contrapose.errors import ConfigError

Node = Any
"""A component: ``"name"``, ``{"use": "name", **arguments}``, or, from Python, the object itself. ``build`` checks it."""


RESERVED = ("origin", "sample", "view", "position", "draw")
"""The identity columns, which no column of the data may be named after."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
CountOrZero = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Strict: no unknown key, no number written as text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class TrainConfig(Section):
    """How to train. ``steps``, where given, overrides ``epochs``; ``warmup`` counts epochs. ``weight_decay`` may be a schedule.

    ``together`` names a column under ``meta``: samples that agree in it come into one batch, where relations find them.
    ``window``, for data on slow disks, shuffles within so many samples at a time, which lie in few places.
    ``batch_size`` is that of all processes together; ``chunk_size``, where given, is how many samples go through a process's
    encoders at a time, at the same gradient (GradCache). ``chunk_batchnorm`` lets BatchNorm see a chunk's statistics.
    ``sync_batchnorm`` takes BatchNorm's statistics over all processes; ``shard`` splits the parameters of encoders and heads, their
    twins and the optimizer's state among the processes (FSDP2).
    """

    epochs: Count = 100
    steps: Count | None = None
    batch_size: Count = 128
    chunk_size: Count | None = None
    chunk_batchnorm: bool = False
    sync_batchnorm: bool = False
    shard: bool = False
    lr: Positive = 1e-3
    weight_decay: NonNegative | dict[str, Any] = 1e-4
    optimizer: Node = "adamw"
    warmup: NonNegative = 0.0
    schedule: Node = "cosine"
    clip: Positive | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: CountOrZero = 0
    seed: CountOrZero = 0
    deterministic: bool = True
    drop_last: bool = True
    together: str | None = None
    window: Count | None = None
    checkpoint_every: Count | None = None
    keep: Count = 2
    threads: Count | None = None
    loggers: list[Node] = ["tensorboard"]


class SplitConfig(Section):
    """Who trains and who tests: as a ``column`` says, or at random, whole groups of column ``by`` staying together."""

    column: str | None = None
    by: str | None = None
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: CountOrZero = 0

    @model_validator(mode="after")
    def _one_way(self) -> SplitConfig:
        if self.column is not None and self.model_fields_set - {"column"}:
            raise ValueError("column takes the split from the data, so it stands alone")
        return self


class EvaluateConfig(Section):
    """By which ``views`` each modality is seen when it is embedded, and which ``evaluators`` run (all, if left out)."""

    views: dict[str, Node] = {}
    evaluators: list[str] | None = None


class LossConfig(Section):
    """How losses visit pairs: ``dense`` all at once, ``tiled`` in squares of side ``tile``, ``auto`` by how many there are.

    ``triton`` is ``tiled`` with fused kernels on a CUDA device, for the NCE family; ``auto`` doesn't take it.
    """

    engine: Literal["auto", "dense", "tiled", "triton"] = "auto"
    tile: Count | None = None


class ModalityConfig(BaseModel):
    """A modality's column or columns, with arguments of its own beside them."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    columns: str | list[str] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What its constructor gets."""
        return dict(self.model_extra or {})


class RunConfig(Section):
    """The top level of a config."""

    data: Node
    meta: dict[str, str] = {}
    split: SplitConfig | None = None
    modalities: dict[str, str | list[str] | ModalityConfig | None] = {}
    views: dict[str, Node] = {}
    encoders: dict[str, Node] = {}
    method: Node = None
    recipe: str | None = None
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    out: str | None = None

    @field_validator("meta")
    @classmethod
    def _free_names(cls, meta: dict[str, str]) -> dict[str, str]:
        for name in meta:
            if name in RESERVED or set(name) & set(".:"):
                raise ValueError(f"{name!r} is a column of the core's own; give it another name")
        return meta

    @model_validator(mode="before")
    @classmethod
    def _none_split(cls, tree: Any) -> Any:
        return {**tree, "split": None} if isinstance(tree, dict) and tree.get("split") == "none" else tree


def validate(tree: Any, model: type[Section] = RunConfig, path: tuple[str | int, ...] = ()) -> Any:
    """``tree`` as ``model``. Raises ``ConfigError`` with the way to the first thing that is wrong; unknown keys come first."""
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            if found["type"] == "extra_forbidden":
                *above, name = found["loc"]
                raise ConfigError(unknown(str(name), _keys(model, above)), (*path, *above, name)) from None
        message, way = explain(error, tree)
        missing = [e["loc"] for e in error.errors() if e["type"] == "missing"]
        raise ConfigError(message, (*path, *(missing[0] if message == "is missing" else way))) from None


def _keys(model: type[BaseModel], way: list[str | int]) -> list[str]:
    """The keys that the section at ``way`` may have."""
    for part in way:
        inner = model.model_fields[str(part)].annotation
        options = [inner, *getattr(inner, "__args__", ())]
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(model.model_fields)
