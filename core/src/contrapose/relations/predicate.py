"""The small language in which a term says who is positive for whom and who counts.

    expr  := expr or expr | expr and expr | not expr | ( expr ) | atom
    atom  := all | self | positive | same(column[, to=column]) | near(column, distance) | origin(name) | view(glob) | has(branch)

The column ``self`` numbers each row of any table by its identity, so that ``same(mined, to=self)`` holds for the very rows that
an annotator has found. A predicate reads nothing but columns of the two tables, so it can be evaluated on any tile of the
Q x K pairs, and a config that holds one runs no code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from contrapose.errors import ConfigError, did_you_mean
from contrapose.relations.atoms import SELF, Atom, Tile, column_of, every, found, itself, near, of_key, same, views_like
from contrapose.types import ident

__all__ = ["SELF", "Predicate", "Tile", "atoms_of", "column_of", "known", "parse"]

MOST_WORDS = 500
"""Of a predicate, brackets among them: deeper ones than its parser can follow are no predicates of a person."""
TOKEN = re.compile(r"\s*(?:([(),=])|([^\s(),=]+))")
ATOMS = ("all", "self", "positive", "same", "near", "origin", "view", "has", "not", "and", "or")


@dataclass(frozen=True)
class Formula:
    """``not`` of one part, ``and`` or ``or`` of two."""

    word: str
    parts: tuple[Formula | Atom, ...]

    def __call__(self, tile: Tile) -> Tensor:
        """Whether it holds, pair by pair."""
        first, *rest = (part(tile) for part in self.parts)
        if not rest:
            return ~first
        return first & rest[0] if self.word == "and" else first | rest[0]


Known = Callable[[Atom], bool | None]
"""What is known of an atom over a whole set of pairs: it holds for all, for none, or (None) neither is known."""


def known(test: Formula | Atom, of: Known) -> bool | None:
    """What follows for a whole formula (Kleene's logic of three values)."""
    if isinstance(test, Atom):
        return of(test)
    parts = [known(part, of) for part in test.parts]
    if test.word == "not":
        return None if parts[0] is None else not parts[0]
    decides = test.word == "or"
    if decides in parts:
        return decides
    return None if None in parts else not decides


def atoms_of(test: Formula | Atom) -> Iterator[Atom]:
    """The atoms of a formula."""
    if isinstance(test, Atom):
        yield test
    else:
        for part in test.parts:
            yield from atoms_of(part)


@dataclass(frozen=True)
class Predicate:
    """A parsed predicate. ``predicate(tile)`` is bool (q, k) or broadcasts to it."""

    text: str
    test: Formula | Atom
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
    if len(parser.tokens) > MOST_WORDS:
        raise ConfigError(f"a predicate of {len(parser.tokens):,} words, more than {MOST_WORDS}: {text[:60]!r}...")
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

    def whole(self) -> Formula | Atom:
        test = self.either()
        if self.peek() is not None:
            raise self.fail(f"{self.peek()!r} is not expected")
        return test

    def either(self) -> Formula | Atom:
        test = self.both()
        while self.peek() == "or":
            self.take()
            test = Formula("or", (test, self.both()))
        return test

    def both(self) -> Formula | Atom:
        test = self.one()
        while self.peek() == "and":
            self.take()
            test = Formula("and", (test, self.one()))
        return test

    def one(self) -> Formula | Atom:
        if self.peek() == "not":
            self.take()
            return Formula("not", (self.one(),))
        if self.peek() == "(":
            self.take()
            test = self.either()
            self.take(")")
            return test
        return self.atom()

    def atom(self) -> Formula | Atom:
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
