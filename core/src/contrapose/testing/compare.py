"""When two things are the same, in value, in distribution, and before and after."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

DIGITS = 4
"""Numbers of two forms of one view agree to so many digits of their standard deviation, whatever their precision."""


def same(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    """Whether two trees of dicts, lists, dataclasses, tensors, arrays and values are equal; NaN equals NaN.

    ``tolerance`` is what floating numbers may differ by, as a share of the largest.
    """
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.dtype != b.dtype or not a.is_floating_point():
            return a.dtype == b.dtype and torch.equal(a, b)
        return _close(a.detach().double().numpy(), b.detach().double().numpy(), tolerance)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        numbers = a.dtype.kind in "fc" and b.dtype == a.dtype
        return _close(a, b, tolerance) if numbers else a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[k], b[k], tolerance) for k in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if type(a) is not type(b):
        return False
    if isinstance(a, (float, np.floating)):
        return _close(np.asarray(a), np.asarray(b), tolerance)
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name), tolerance) for f in dataclasses.fields(a))
    return bool(a == b) or (hasattr(a, "__dict__") and same(vars(a), vars(b), tolerance))


def _close(a: NDArray[Any], b: NDArray[Any], tolerance: float) -> bool:
    if a.shape != b.shape:
        return False
    if not tolerance:
        return np.array_equal(a, b, equal_nan=True)
    largest = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    return np.allclose(a, b, rtol=0, atol=tolerance * max(float(largest), 1e-6), equal_nan=True)


def same_distribution(a: ArrayLike, b: ArrayLike, level: float = 1e-3) -> bool:
    """Whether draws ``a`` (n, ...) and ``b`` (m, ...) may be of one distribution, element by element.

    A two-sample Kolmogorov-Smirnov test of each element, at ``level`` for all of them together (Bonferroni), by Smirnov's
    asymptotic tail ``2 exp(-2 d^2 nm / (n + m))``. It sees each element alone: add what elements do together (a count, a sum) as
    elements of their own. NaN is a value as any other.
    """
    x, y = (np.asarray(part, dtype=np.float64).reshape(len(part), -1) for part in (a, b))  # type: ignore[arg-type]
    if x.shape[1] != y.shape[1]:
        return False
    both = np.concatenate([x, y])
    scale = both.std(axis=0, where=np.isfinite(both) | ~np.isfinite(both).any(axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    # Equal numbers of two precisions must stay equal: a test of ranks would tell them apart.
    x, y = (np.sort(np.nan_to_num(np.round(part / scale, DIGITS), nan=-np.inf), axis=0) for part in (x, y))
    n, m = len(x), len(y)
    most = np.sqrt(np.log(2 * x.shape[1] / level) * (n + m) / (2 * n * m))
    return all(_distance(x[:, i], y[:, i]) <= most for i in range(x.shape[1]))


def _distance(x: NDArray[Any], y: NDArray[Any]) -> float:
    """The largest difference between two empirical distribution functions; both are sorted."""
    where = np.concatenate([x, y])
    below = (np.searchsorted(part, where, side="right") / len(part) for part in (x, y))
    return float(np.abs(next(below) - next(below)).max())


@contextmanager
def unmoved_randomness(what: str) -> Iterator[None]:
    """Fail where the global random states of Python, numpy or torch move."""
    before = _random_states()
    yield
    moved = [name for name, state in _random_states().items() if not same(before[name], state)]
    assert not moved, f"{what} must draw from the generator that it is given, but it drew from {', '.join(moved)}"


def stir(seed: int) -> None:
    """Set the global random states, on which nothing may depend."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _random_states() -> dict[str, Any]:
    return {
        "random": random.getstate(),
        "numpy.random": np.random.get_state(),
        "torch's default generator": torch.get_rng_state(),
    }


@contextmanager
def must(what: str) -> Iterator[None]:
    """Turn an error into a failure that begins with what was asked for."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise AssertionError(f"{what}, but: {type(error).__name__}: {said}") from error
