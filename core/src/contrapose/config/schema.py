"""The validated top level of a config. Components (views, encoders, method, ...) stay plain: their own signatures check them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from contrapose.config.messages import explain, unknown
from contrapose.errors import ConfigError

Node = Any
"""A component: ``"name"``, ``{"use": "name", **arguments}``, or, from Python, the object itself. ``build`` checks it."""


RESERVED = ("origin", "sample", "view", "position", "draw")
"""The identity columns, which no column of the data may be named after."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _free_names(meta: dict[str, str]) -> dict[str, str]:
    for name in meta:
        if name in RESERVED or set(name) & set(".:"):
            raise ValueError(f"{name!r} is a column of the core's own; give it another name")
    return meta


Meta = Annotated[dict[str, str], AfterValidator(_free_names)]
Count = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
CountOrZero = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Strict: no unknown key, no number written as text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class EarlyStopping(Section):
    """Stop once the loss on ``split``, measured after each epoch, was no better for ``patience`` epochs; keep the best weights.

    The split is seen by ``passes`` draws of the training views, the same after each epoch.
    """

    split: str = "val"
    patience: Count = 3
    passes: Count = 1


class BalanceConfig(Section):
    """The shares of a column's values in an epoch: ``by`` size ** ``power``, 1 as they are, 0 equal.

    ``by`` names a column under ``meta``, of words or whole numbers, or ``dataset``, where there are several. ``batches: one``: the
    samples of a batch have one value.
    """

    by: str
    power: Annotated[float, Field(ge=0, le=1)] = 0.0
    batches: Literal["mixed", "one"] = "mixed"


class BucketsConfig(Section):
    """Batches of samples of like length: ``of`` names a modality that tells how long its data are.

    ``window`` batches are sorted together at a time: the more, the less is filled up, and the fewer the negatives that a sample
    may meet.
    """

    of: str
    window: Count = 50


class TrainConfig(Section):
    """How to train. ``steps``, where given, overrides ``epochs``; ``warmup`` counts epochs. ``weight_decay`` may be a schedule.

    ``balance`` evens out how often the values of a column come.
    ``together`` names a column under ``meta``: samples that agree in it come into one batch, where relations find them.
    ``distinct`` names one in which the samples of a batch shall differ, so that equal ones (of one caption) are no negatives.
    ``buckets`` makes batches of samples of like length, so that little of a batch is filling.
    ``window``, for data on slow disks, shuffles within so many samples at a time, which lie in few places.
    ``batch_size`` is that of all processes together; ``chunk_size``, where given, is how many samples go through a process's
    encoders at a time, at the same gradient (GradCache). ``chunk_batchnorm`` lets BatchNorm see a chunk's statistics.
    ``sync_batchnorm`` takes BatchNorm's statistics over all processes; ``shard`` splits the parameters of encoders and heads, their
    twins and the optimizer's state among the processes (FSDP2).
    ``frozen`` names encoders that stay as they are (``encoder``), or with their projectors (``tower``); ``cache`` keeps what frozen
    encoders give, by sample, so that each is asked once.
    """

    epochs: Count = 100
    steps: Count | None = None
    batch_size: Count = 128
    chunk_size: Count | None = None
    chunk_batchnorm: bool = False
    sync_batchnorm: bool = False
    shard: bool = False
    frozen: dict[str, Literal["encoder", "tower"]] = {}
    cache: bool = False
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
    balance: BalanceConfig | None = None
    together: str | None = None
    distinct: str | None = None
    buckets: BucketsConfig | None = None
    window: Count | None = None
    checkpoint_every: Count | None = None
    keep: Count = 2
    early_stopping: EarlyStopping | None = None
    threads: Count | None = None
    loggers: list[Node] = ["tensorboard"]


class SplitConfig(Section):
    """Who trains and who tests: as a ``column`` says, or at random, whole groups of column ``by`` staying together.

    ``val`` sets a part aside for early stopping.
    """

    column: str | None = None
    by: str | None = None
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    val: Annotated[float, Field(gt=0, lt=1)] | None = None
    seed: CountOrZero = 0

    @model_validator(mode="after")
    def _one_way(self) -> SplitConfig:
        if self.column is not None and self.model_fields_set - {"column"}:
            raise ValueError("column takes the split from the data, so it stands alone")
        return self

    def plain(self) -> dict[str, Any]:
        """What of it holds, as a mapping."""
        return {"column": self.column} if self.column else self.model_dump(exclude={"column"}, exclude_none=True)


class DatasetConfig(Section):
    """One of several datasets: ``data`` as at the top, and those of its columns that are called otherwise than the run says.

    ``split`` is its own; left out, the run's holds.
    """

    data: Node
    modalities: dict[str, str | list[str]] = {}
    meta: Meta = {}
    split: SplitConfig | Literal["none"] | None = None


class EvaluateConfig(Section):
    """By which ``views`` each modality is seen when it is embedded, and which ``evaluators`` run (the usual ones, if left out)."""

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
    meta: Meta = {}
    split: SplitConfig | None = None
    modalities: dict[str, str | list[str] | ModalityConfig | None] = {}
    views: dict[str, Node] = {}
    encoders: dict[str, Node] = {}
    method: Node = None
    recipe: str | None = None
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    extend: str | None = None
    out: str | None = None

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
