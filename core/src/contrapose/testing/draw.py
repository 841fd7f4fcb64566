"""Inputs that hypothesis draws for a check, and the smallest that fails it, said in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

EXAMPLES = 6

Inputs = Any
"""A strategy, or a function of the contract that gives one."""


def drawn(examples: int = EXAMPLES, **inputs: Inputs) -> Callable[[Callable[..., None]], Callable[[Any], None]]:
    """Make a check of a contract that takes ``inputs`` one that pytest calls, over ``examples`` draws of them.

    The draws are the same each time. What fails is shrunk, and its message ends in the smallest input that fails.
    """

    def decorate(check: Callable[..., None]) -> Callable[[Any], None]:
        def test(self: Any) -> None:
            made = {name: s(self) if callable(s) else s for name, s in inputs.items()}
            failed: list[tuple[BaseException, dict[str, Any]]] = []

            @settings(
                max_examples=examples,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.explicit, Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
            )
            @given(st.fixed_dictionaries(made))
            def run(values: dict[str, Any]) -> None:
                try:
                    check(self, **values)
                except Exception as error:
                    failed.append((error, values))
                    raise

            try:
                run()
            except (Exception, FlakyFailure):  # chance that no seed decides may pass when it is tried again
                if not failed:
                    raise
                error, values = failed[-1]
                shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
                said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
                raise AssertionError(f"{' '.join(said.split())}; smallest input that fails: {shown}") from None

        test.__name__, test.__qualname__, test.__doc__ = check.__name__, check.__qualname__, check.__doc__
        test.__module__ = check.__module__
        return test

    return decorate


SEEDS = st.integers(0, 999)
ROWS = st.integers(0, 6)
"""So many samples in a batch: none and one are among them."""
TILES = st.integers(1, 4)
"""The side of a tile of pairs."""


def picks(count: int, fewest: int = 1, most: int = 6) -> st.SearchStrategy[list[int]]:
    """Some of ``count`` things, in any order, some of them twice."""
    return st.lists(st.integers(0, count - 1), min_size=fewest, max_size=most)


def of_samples(contract: Any) -> st.SearchStrategy[list[int]]:
    """Some of a contract's samples."""
    return picks(len(contract.samples))


def a_sample(contract: Any) -> st.SearchStrategy[int]:
    """One of a contract's samples."""
    return st.integers(0, len(contract.samples) - 1)


def orders(count: int) -> st.SearchStrategy[list[int]]:
    """``count`` things in any order."""
    return st.permutations(range(count))


MISSING = st.sets(st.integers(0, 5), max_size=4)
"""Which samples of a batch lack a view."""
