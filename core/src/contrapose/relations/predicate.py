"""The small language in which a term says who is positive for whom and who counts.

    expr  := expr or expr | expr and expr | not expr | ( expr ) | atom
    atom  := all | self | positive | same(column[, to=column]) | near(column, distance) | origin(name) | view(glob) | has(branch)

The column ``self`` numbers each row of any table by its identity, so that ``same(mined, to=self)`` holds for the very rows that
an annotator has found. A predicate reads nothing but columns of the two tables, so it can be evaluated on any tile of the
Q x K pairs, and a config that holds one runs no code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from contrapose.errors import ConfigError, did_you_mean
from contrapose.relations.atoms import SELF, Test, Tile, column_of, every, found, itself, near, of_key, same, views_like
from contrapose.types import ident

__all__ = ["SELF", "Predicate", "Tile", "column_of", "parse"]

TOKEN = re.compile(r"\s*(?:([(),=])|([^\s(),=]+))")
ATOMS = ("all", "self", "positive", "same", "near", "origin", "view", "has", "not", "and", "or")


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
        simple = {"all": every, "self": itself, "positive": found}
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
            return of_key(f"has:{args[0]}", lambda tile: [1])
        if word == "origin":
            number = ident(args[0])
            return of_key("origin", lambda tile: [number])
        return of_key("view", lambda tile: views_like(tile, args[0]))

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
