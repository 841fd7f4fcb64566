"""``@view``: a plain function of data becomes a view generator, and stays a plain function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from contrapose.types import Sample, View


def view(
    modality: str,
    *,
    makes: str | None = None,
    names: Sequence[str] = (),
    batched: Callable[..., Any] | Literal[True] | None = None,
) -> Callable[[Any], Any]:
    """Turn ``(data, rng, **params) -> data`` into a view generator of ``modality``.

    ``makes`` is the modality of its views where that is another one (a rendering). A function that makes several views
    returns a list of `View` and declares their ``names``. On a class that already is a generator, it sets the same
    facts.

    ``batched`` is the same view of a collated batch, ``(batch, generator, **params) -> batch``, with the function's parameters and
    defaults and a ``torch.Generator`` of the batch's device; True where the function serves both, being made of views that do.
    Raises ``TypeError`` where the two forms' parameters differ.

    The decorated function serves three ways::

        @view("pulse")
        def jitter(pulse, rng, sigma=0.01):
            return pulse + rng.normal(0, sigma, pulse.shape)

        jitter(pulse, rng)                 # on data: data
        jitter(sigma=0.02)(sample, rng)    # bound: a generator, [View]
        # views: {pulse: {use: jitter, sigma: 0.02}}   by --plugin file.py
    """

    def decorate(target: Any) -> Any:
        if batched and (isinstance(target, type) or names or makes not in (None, modality)):
            raise TypeError(f"{target.__name__}: batched= is for a function that makes one view of its own modality")
        made: Any = target if isinstance(target, type) else ViewFunction(target, batched)
        made.modality = modality
        made.makes = makes or modality
        made.view_names = tuple(names)
        made.__contrapose__ = ("view", target.__name__)  # how --plugin FILE finds it
        return made

    return decorate


class ViewFunction:
    """What ``@view`` makes of a function. It is itself a generator, with the defaults of its parameters."""

    modality: str
    makes: str
    view_names: tuple[str, ...]
    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[..., Any], batched: Callable[..., Any] | Literal[True] | None = None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.__signature__ = _parameters(function)  # inspect.signature() and config.build see only what can be bound
        self.data_name = next(iter(inspect.signature(function).parameters))
        self._batched = function if batched is True else batched
        if self._batched is not None and _defaults(self._batched) != _defaults(function):
            here, there = self.__signature__, _parameters(self._batched)
            raise TypeError(f"{function.__name__}{here} has a batched form with other parameters: {there}")

    @property
    def batched(self) -> Callable[..., Any]:
        """``(batch, generator, **params) -> batch``; no such attribute where none was given."""
        if self._batched is None:
            raise AttributeError(f"{self!r} has no batched form")
        return self._batched

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply to data (positional), make views of a `Sample`, or bind parameters (keywords alone).

        Data with a ``torch.Generator`` in place of ``rng`` are a batch.
        """
        if args and isinstance(args[0], Sample):
            return self.views(*args, **kwargs)
        if len(args) > 1 and isinstance(args[1], torch.Generator):
            return self.batched(*args, **kwargs)
        if args or self.data_name in kwargs:
            return self.function(*args, **kwargs)
        self.__signature__.bind(**kwargs)
        return BoundView(self, kwargs)

    def views(self, sample: Sample, rng: np.random.Generator, **params: Any) -> list[View]:
        """The views that the function makes of a sample under these parameters."""
        made = self.function(sample.data[self.modality], rng, **params)
        if isinstance(made, View):
            return [made]
        if isinstance(made, (list, tuple)) and made and all(isinstance(v, View) for v in made):
            return list(made)
        return [View("", self.makes, made)]

    def __repr__(self) -> str:
        return f"<view {self.__name__}{self.__signature__} of {self.modality}>"

    def __reduce__(self) -> str:
        return self.__qualname__  # by reference, as functions are


class BoundView:
    """A view function with its parameters: a generator."""

    def __init__(self, function: ViewFunction, params: Mapping[str, Any]) -> None:
        self.function = function
        self.params = dict(params)
        self.modality, self.makes, self.view_names = function.modality, function.makes, function.view_names

    def __call__(self, sample: Sample, rng: np.random.Generator) -> list[View]:
        """Views of ``sample.data[modality]``."""
        return self.function.views(sample, rng, **self.params)

    @property
    def batched(self) -> Callable[..., Any]:
        """``(batch, generator) -> batch``; no such attribute where the function has no batched form."""
        return partial(self.function.batched, **self.params)

    def __repr__(self) -> str:
        return f"{self.function.__name__}({', '.join(f'{k}={v!r}' for k, v in self.params.items())})"


def _parameters(function: Callable[..., Any]) -> inspect.Signature:
    """What a config may give: all parameters but the data and what to draw from."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError:  # an annotation that only a type checker can see
        signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if len(parameters) < 2:
        name = getattr(function, "__name__", function)
        raise TypeError(f"{name}{signature}: a view is a function (data, rng, **parameters) -> data")
    return inspect.Signature([p if p.kind is p.VAR_KEYWORD else p.replace(kind=p.KEYWORD_ONLY) for p in parameters[2:]])


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    return {p.name: p.default for p in _parameters(function).parameters.values()}
