"""Where a term's negatives come from, read off its data."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from contrapose.methods.nodes import Data, listed, owner, table, use

MADE = ("aligned", "mean", "product", "stack", "union")
"""Sources whose rows are those of other tables, joined or averaged: their negatives are those tables'."""

ATTRACTING = ("cosine",)
"""Pair losses that look at the positives alone."""

REPELLING = ("max-margin",)
"""Set losses that push samples apart."""

ATOM = re.compile(r"(?:same|near|origin|view|has)\([^()]*\)|\b(?:all|self|positive)\b")


def negatives(data: Data, term: Data) -> Iterator[str]:
    """The kinds of the tables that hold negatives: ``batch`` for rows of branches, else the source's component."""
    loss, keys = use(term.get("loss", "nce")), term.get("keys")
    if not keys:
        if loss in REPELLING or column_told(term):
            yield "batch"
    elif loss not in ATTRACTING:
        said = term.get("denominator", "not self")
        for name in (owner(table(key)) for key in listed(keys)):
            if any(possible(predicate, name) for predicate in ([said] if isinstance(said, str) else said)):
                yield from _kinds(data, name)


def column_told(term: Data) -> str | None:
    """The column by which a loss without keys tells positives from negatives, where it has one."""
    loss = term.get("loss")
    return loss.get("same") if isinstance(loss, Mapping) else None


def _kinds(data: Data, name: str) -> Iterator[str]:
    source = data.get("sources", {}).get(name)
    if source is None:
        yield "batch"
    elif use(source) in MADE:
        for ref in listed(source["of"]):
            yield from _kinds(data, owner(ref))
    else:
        yield use(source)


def possible(predicate: str, origin: str) -> bool:
    """Whether a predicate may hold for a key of that origin that is no positive and of another sample than the anchor."""
    atoms: list[str] = []

    def note(match: re.Match[str]) -> str:
        atoms.append(match.group().replace(" ", ""))
        return f"atom{len(atoms) - 1}"

    def holds(node: ast.AST) -> tuple[bool, bool]:
        """Whether it may hold, and whether it may not."""
        if isinstance(node, ast.UnaryOp):
            return holds(node.operand)[::-1]
        if isinstance(node, ast.BoolOp):
            yes, no = zip(*(holds(v) for v in node.values), strict=True)
            return (all(yes), any(no)) if isinstance(node.op, ast.And) else (any(yes), all(no))
        assert isinstance(node, ast.Name)
        atom = atoms[int(node.id.removeprefix("atom"))]
        if atom in ("positive", "self", "same(sample)"):
            return False, True
        if atom == "all" or atom.startswith("has("):
            return True, False
        if atom.startswith("origin("):
            return atom == f"origin({origin})", atom != f"origin({origin})"
        return True, True

    return holds(ast.parse(ATOM.sub(note, predicate).strip(), mode="eval").body)[0]
