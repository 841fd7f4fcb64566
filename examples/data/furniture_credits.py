"""Licences and credits of the furniture: what the package's own texts say of each library and model.

CC BY asks for the author, the title, the licence's address and a note of changes with every copy, so the
attribution file is written from the same texts that the licence of each row is read from.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import NamedTuple

CC0, BY, BY_US = "CC0-1.0", "CC-BY-3.0", "CC-BY-3.0-US"
LIBRARIES = {"BlendSwap-CC-0": CC0, "BlendSwap-CC-BY": BY, "KatorLegaz": BY_US, "Reallusion": BY_US, "Scopia": BY}
# What each library's LICENSE.TXT must say before anything of it is used: a new package version could differ.
PROOF = {CC0: "Creative Commons Zero", BY: "licenses/by/3.0/", BY_US: "licenses/by/3.0/us/"}
TITLES = (
    r'downloading "(?P<title>[^\n]*)" by (?P<author>[^\n,]*)',
    r"<title>\s*(?P<title>[^<]*?)\s* by (?P<author>[^<]*?) - \d+ - Creative Commons",
    r"<title>\s*\d+ - (?P<title>[^<]*?) - Downloaded from",
)
INTRO = """# Attribution

The clouds, icons, names and sizes in `furniture.parquet` come from the furniture libraries of Sweet Home 3D, as the
Debian package `sweethome3d-furniture` holds them. Emmanuel Puybaret / eTeks cleaned the models and converted them to
OBJ. **Changes made here:** {points} points were sampled from each mesh (stretched to its catalogue size, then centred
and scaled to the unit sphere); icons were put on white, shrunk and saved again; a few English names were mended.

The columns `creator` and `licence` hold each row's author, as the catalogue names them, and its licence. What each
library says of itself, word for word, and the origin of each Blend Swap model follow.
"""


class Origin(NamedTuple):
    """Where a model was cut from, as its own licence text says; empty strings where it doesn't."""

    licence: str | None
    source: str = ""
    title: str = ""
    author: str = ""


def read_origin(text: str, library: str) -> Origin:
    """A model's origin; the licence its own text states overrides the library's, and None is one that can't be used."""
    if not text:
        return Origin(LIBRARIES[library])
    # The licence is named in the first statement of release; later text only warns of violations in general.
    stated = re.search(r"Creative Commons (Zero|Attribution(?:[ -][A-Z]\w+)*)\b[^<\n]*", text)
    licence = {"Zero": CC0, "Attribution": BY}.get(stated[1]) if stated else None
    if stated and licence == BY and "3.0" not in stated[0]:
        licence = None
    number = re.search(r"blends/view/(\d+)", text)
    found = next(filter(None, (re.search(pattern, text) for pattern in TITLES)), None)
    parts = {key: html.unescape(value).strip() for key, value in found.groupdict().items()} if found else {}
    return Origin(licence, number[1] if number else "", parts.get("title", ""), parts.get("author", ""))


def write_attribution(licences: dict[str, str], credits: Iterable[tuple[str, str, str, Origin]], points: int) -> str:
    """The attribution file: each library's LICENSE.TXT, then a line per credit that has a source."""
    lines = [INTRO.format(points=points)]
    rows = list(credits)
    for library, text in sorted(licences.items()):
        body = "\n".join(line.rstrip().expandtabs(4) for line in text.strip().splitlines())
        lines += [f"## {library}\n", f"```text\n{body}\n```\n"]
        named = [(key, creator, origin) for of, key, creator, origin in rows if of == library and origin.source]
        if named:
            lines += ["| id | creator (catalogue) | Blend Swap number, title, author (licence text) | licence |"]
            lines += ["| --- | --- | --- | --- |"]
        for key, creator, origin in sorted(named):
            what = ", ".join(filter(None, (origin.source, origin.title, origin.author))).replace("|", "/")
            lines.append(f"| {key} | {creator} | {what} | {origin.licence} |")
        if named:
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"
