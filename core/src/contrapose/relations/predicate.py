"""The small language in which a term says who is positive for whom and who counts.

    expr  := expr or expr | expr and expr | not expr | ( expr ) | atom
    atom  := all | self | positive | same(column[, to=column]) | near(column, distance) | origin(name) | view(glob) | has(branch)

A predicate reads nothing but columns of the two tables, so it can be evaluated on any tile of the Q x K pairs, and a config
that holds one runs no code.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from contrapose.errors import ConfigError, did_you_mean
from contrapose.types import IDENTITY, Rows, ident, matches

UNKNOWN = -(2**62)
TOKEN = re.compile(r"\s*(?:([(),=])|([^\s(),=]+))")
ATOMS = ("all", "self", "positive", "same", "near", "origin", "view", "has", "not", "and", "or")


@dataclass(frozen=True)
class Tile:
    """What an atom may look at: the tile's anchors and keys, its positives so far, and the view names of the run."""

    q: Rows
    k: Rows
    names: frozenset[str]
    positive: Tensor | None = None


Test = Callable[[Tile], Tensor]


@dataclass(frozen=True)
class Predicate:
    """A parsed predicate. ``predicate(tile)`` is bool (q, k) or broadcasts to it."""

    text: str
    test: Test
    names: frozenset[tuple[str, str]] = frozenset()
    """What it names: ``("origin", "queue")``, ``("has", "online")``."""

    def __reduce__(self) -> tuple[Any, ...]:
        return parse, (self.text,)

    def __call__(self, tile: Tile) -> Tensor:
        """Whether it holds, pair by pair."""
        return self.test(tile)


def parse(text: str) -> Predicate:
    """Parse a predicate; raises ``ConfigError`` that shows where the text went wrong."""
    parser = _Parser(text)
    return Predicate(text, parser.whole(), frozenset(parser.named))


def _sides(tile: Tile, a: str, b: str) -> tuple[Tensor, Tensor]:
    """Column ``a`` of the anchors and ``b`` of the keys, shaped to compare as (q, k), or (q, k, P, R) where many-valued."""
    x, y = _column(tile.q, a), _column(tile.k, b)
    if not y.is_floating_point():
        y = y.masked_fill(y == -1, UNKNOWN)  # so that unknown equals nothing, at no cost per pair
    if x.ndim == 1 and (y.ndim == 1 or tile.k.private):
        return x[:, None], (y if tile.k.private else y[None])
    x = x[:, None, :, None] if x.ndim == 2 else x[:, None, None, None]
    if tile.k.private:
        return x, y[:, :, None, None]
    return x, (y[None, :, None, :] if y.ndim == 2 else y[None, :, None, None])


def _any(hit: Tensor) -> Tensor:
    return hit if hit.ndim == 2 else hit.flatten(2).any(-1)


def _column(rows: Rows, name: str) -> Tensor:
    if name not in rows.meta and not len(rows):
        return rows.z.new_zeros(0)  # a table without rows may not know its columns
    if name not in rows.meta:
        shown = [c for c in rows.meta if c not in IDENTITY and not c.startswith("has:")]
        raise ConfigError(
            f"a relation asks for the column {name!r}, which these rows lack"
            f"{did_you_mean(name, [*shown, *IDENTITY])}; name it under meta: in the config"
        )
    return rows.meta[name]


def same(column: str, to: str | None = None) -> Test:
    """Any value of the anchor's column equals any of the key's; -1 (unknown) equals nothing."""

    def test(tile: Tile) -> Tensor:
        x, y = _sides(tile, column, to or column)
        return _any(x == y)

    return test


def near(column: str, distance: float) -> Test:
    """The two values differ by at most ``distance``, in the column's unit; NaN and -1 of integers are near to nothing."""

    def test(tile: Tile) -> Tensor:
        x, y = _sides(tile, column, column)
        known = x == x if x.is_floating_point() else x != -1
        return _any(((x - y).abs() <= distance) & known)

    return test


def _self(tile: Tile) -> Tensor:
    return reduce(torch.logical_and, (same(c)(tile) for c in IDENTITY))


def _of_key(column: str, wanted: Callable[[Tile], list[int]]) -> Test:
    """The key's column is one of the wanted numbers."""

    def test(tile: Tile) -> Tensor:
        y = _column(tile.k, column)
        hit = torch.zeros_like(y, dtype=torch.bool)
        for number in wanted(tile):
            hit |= y == number
        return hit if tile.k.private else hit[None]

    return test


def _views(tile: Tile, glob: str) -> list[int]:
    found = [ident(n) for n in tile.names if matches(n, [glob])]
    if not found:
        raise ConfigError(f"view({glob}): no view is like that; there is {', '.join(sorted(tile.names))}")
    return found


def _positive(tile: Tile) -> Tensor:
    if tile.positive is None:
        raise ConfigError("'positive' speaks of the positives that are being defined here; use it in denominator: only")
    return tile.positive


def _all(tile: Tile) -> Tensor:
    return torch.ones(1, 1, dtype=torch.bool, device=tile.q.z.device)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, at = text, [], 0
        self.named: set[tuple[str, str]] = set()
        while match := TOKEN.match(text, at):
            self.tokens.append((match.group(1) or match.group(2), match.start(1) if match.group(1) else match.start(2)))
            at = match.end()
        self.at = 0

    def fail(self, message: str) -> ConfigError:
        where = self.tokens[self.at][1] + 1 if self.at < len(self.tokens) else len(self.text) + 1
        return ConfigError(f"{message} at column {where} of the predicate {self.text!r}")

    def peek(self) -> str | None:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else None

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if token is None or (expected is not None and token != expected):
            raise self.fail(f"expected {expected or 'a word'!r}, got {token!r}" if token else "it ends too early")
        self.at += 1
        return token

    def whole(self) -> Test:
        test = self.either()
        if self.peek() is not None:
            raise self.fail(f"{self.peek()!r} is not expected")
        return test

    def either(self) -> Test:
        test = self.both()
        while self.peek() == "or":
            self.take()
            test = _either(test, self.both())
        return test

    def both(self) -> Test:
        test = self.one()
        while self.peek() == "and":
            self.take()
            test = _both(test, self.one())
        return test

    def one(self) -> Test:
        if self.peek() == "not":
            self.take()
            inner = self.one()
            return lambda tile: ~inner(tile)
        if self.peek() == "(":
            self.take()
            test = self.either()
            self.take(")")
            return test
        return self.atom()

    def atom(self) -> Test:
        start = self.at
        word = self.take()
        simple = {"all": _all, "self": _self, "positive": _positive}
        if word in simple:
            return simple[word]
        if word not in ATOMS[3:8]:
            self.at = start
            raise self.fail(f"unknown word {word!r}{did_you_mean(word, ATOMS)}")
        args, named = self.arguments()
        allowed = {"same": {"to"}}.get(word, set())
        if len(args) != (2 if word == "near" else 1) or set(named) - allowed:
            self.at = start
            raise self.fail({"near": "near takes (column, distance)"}.get(word, f"{word} takes one name"))
        if word == "same":
            return same(args[0], named.get("to"))
        if word == "near":
            try:
                return near(args[0], float(args[1]))
            except ValueError:
                self.at = start
                raise self.fail(f"the distance {args[1]!r} is not a number") from None
        if word in ("has", "origin"):
            self.named.add((word, args[0]))
        if word == "has":
            return _of_key(f"has:{args[0]}", lambda tile: [1])
        if word == "origin":
            number = ident(args[0])
            return _of_key("origin", lambda tile: [number])
        return _of_key("view", lambda tile: _views(tile, args[0]))

    def arguments(self) -> tuple[list[str], dict[str, str]]:
        self.take("(")
        args: list[str] = []
        named: dict[str, str] = {}
        while True:
            word = self.take()
            if self.peek() == "=":
                self.take()
                named[word] = self.take()
            else:
                args.append(word)
            if self.take() == ")":
                return args, named


def _either(a: Test, b: Test) -> Test:
    return lambda tile: a(tile) | b(tile)


def _both(a: Test, b: Test) -> Test:
    return lambda tile: a(tile) & b(tile)
