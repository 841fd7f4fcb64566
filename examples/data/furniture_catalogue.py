"""Read the Sweet Home 3D furniture libraries: catalogue entries, licences, meshes and icons.

A library is a zip with one catalogue in Java ``.properties`` form, an OBJ mesh with its materials and an icon
per model, and licence texts. Only numpy and Pillow are needed: the meshes are plain OBJ, and parsing them here
keeps the sampled clouds a function of the files and the seed alone.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from furniture_credits import LIBRARIES, PROOF, Origin, read_origin
from numpy.typing import NDArray
from PIL import Image

SEED = 20240501
POINTS = 1024
ICON_SIDE = 80
# Slips of spelling or translation, checked against the icons: by word, and by whole name.
WORDS = {"Trunck": "Trunk", "Teck": "Teak", "Gaz": "Gas", "Bended": "Bent", "bank": "bench"}
NAMES = {
    "Socket": "Sock", "Short": "Shorts", "Hashtray": "Ashtray", "Puff": "Pouf", "Mocassin": "Moccasin",
    "Flipper": "Pinball machine", "Barnum": "Marquee tent", "Flacon": "Perfume bottle", "Boiler": "Kettle",
    "Toilets unit": "Toilet", "Letters box": "Letter box", "Wire coathanger": "Wire coat hanger",
}  # fmt: skip
# Names whose last word is a make, a model or a modifier: what the thing is, said outright.
NOUNS = {
    **dict.fromkeys(["Chevrolet", "Ford Focus", "Peugeot 308 CC", "Renault Scenic", "Seat Leon", "SUV"], "car"),
    **dict.fromkeys(["VW new beetle", "Car model", "Concept Sedan 02 Sport"], "car"),
    **dict.fromkeys(["Arrow turn right", "Arrow turn right and ahead", "Arrow straight ahead"], "arrow"),
    **dict.fromkeys(["Apple iMac 1998", "Apple iMac 2004", "Apple iBook", "Laptop"], "computer"),
    **dict.fromkeys(["Apple iPhone", "Wireless phone", "Mobile phone"], "phone"),
    **dict.fromkeys(["Frame Chambord", "Frame Hôi An", "Frame Hội An"], "frame"),
    "Yamaha YZR R6": "motorbike", "TV 16:9": "tv", "Wall flat TV": "tv", "CCTV": "camera",
    "Concept Sedan 01": "car", "Concept Sedan 02": "car", "Smart car": "car", "PlayStation": "console",
}  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """One furniture model: the manifest's columns, and `origin`, what its own licence text says."""

    id: str
    library: str
    licence: str
    name: str
    noun: str
    room: str
    creator: str
    width: float
    depth: float
    height: float
    elevation: float
    movable: bool
    cloud: NDArray[np.float16]
    icon: bytes
    origin: Origin


def read_licence(path: Path) -> str:
    """The licence text of one ``.sh3f`` library."""
    with zipfile.ZipFile(path) as archive:
        return archive.read("LICENSE.TXT").decode("utf-8", "replace")


def read_library(path: Path) -> Iterator[Model]:
    """Yield the models of one ``.sh3f`` library whose licence is CC0 or CC BY and whose mesh has a surface."""
    library = path.stem
    with zipfile.ZipFile(path) as archive:
        if PROOF[LIBRARIES[library]] not in read_licence(path):
            raise ValueError(f"{path.name}: LICENSE.TXT is not the {LIBRARIES[library]} text that was checked")
        texts: dict[str, str] = {}
        for member in archive.namelist():
            if "licen" in posixpath.basename(member).lower() and member != "LICENSE.TXT":
                texts[posixpath.dirname(member)] = archive.read(member).decode("utf-8", "replace")
        for entry in read_catalogue(archive.read("PluginFurnitureCatalog.properties")).values():
            mesh_path = entry["model"].lstrip("/")
            text = texts.get(posixpath.dirname(mesh_path), "")
            origin = read_origin(text, library)
            if origin.licence is None:
                print(f"left out {entry['id']}: its licence text is neither CC0 nor CC BY 3.0")
                continue
            width, depth, height = (float(entry[key]) for key in ("width", "depth", "height"))
            key = library.lower() + "#" + entry["id"].split("#", 1)[1]
            triangles = read_triangles(archive, mesh_path)
            rotation = np.fromstring(entry.get("modelRotation", "1 0 0 0 1 0 0 0 1"), sep=" ").reshape(3, 3)
            cloud = sample(triangles @ rotation.T, np.array([width, height, depth]), key)
            if cloud is None:
                print(f"left out {key}: its mesh has no surface")
                continue
            name = clean_name(entry["name"])
            yield Model(
                id=key, library=library, licence=origin.licence, name=name, noun=head_noun(name),
                room=entry["category"], creator=entry["creator"], width=width, depth=depth, height=height,
                elevation=float(entry.get("elevation", "0")), movable=entry.get("movable", "true") == "true",
                cloud=cloud, icon=read_icon(archive.read(entry["icon"].lstrip("/"))),
                origin=origin,
            )  # fmt: skip


def read_catalogue(raw: bytes) -> dict[int, dict[str, str]]:
    """Parse ``key#number=value`` lines (Latin-1 with ``\\uXXXX`` escapes, as Java writes them) by number."""
    entries: dict[int, dict[str, str]] = {}
    for line in raw.decode("latin-1").splitlines():
        match = re.match(r"\s*(\w+)#(\d+)\s*=\s*(.*?)\s*$", line)
        if match:
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), match[3])
            entries.setdefault(int(match[2]), {})[match[1]] = value
    return entries


def clean_name(name: str) -> str:
    """Collapse white space and mend the catalogue's slips."""
    return " ".join(WORDS.get(word, word) for word in NAMES.get(name, name).split())


def head_noun(name: str) -> str:
    """The noun an English name turns on: what is left of the last word before any 'with', 'for', comma or number."""
    if name in NOUNS:
        return NOUNS[name]
    text = re.split(r",| - | (?:with|for|on|under|and|of)\b", name)[0]
    text = re.sub(r"\s+(?:\d+\S*(?:\s+\w+)?|small panes|[A-Z]{2})$", "", text)
    return text.split()[-1].lower()


def read_triangles(archive: zipfile.ZipFile, path: str) -> Floats:
    """All visible triangles (n, 3, 3) of an OBJ file: every group, polygons as fans, see-through materials left out."""
    vertices: list[list[str]] = []
    faces: list[tuple[int, int, int]] = []
    hidden: set[str] = set()
    skip = False
    for line in archive.read(path).decode("latin-1").replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "v":
            vertices.append(rest.split()[:3])
        elif word == "f" and not skip:
            corners = [int(corner.split("/", 1)[0]) for corner in rest.split()]
            corners = [c - 1 if c > 0 else len(vertices) + c for c in corners]
            faces.extend((corners[0], b, c) for b, c in pairwise(corners[1:]))
        elif word == "mtllib":
            hidden |= see_through(archive, posixpath.join(posixpath.dirname(path), rest.strip()))
        elif word == "usemtl":
            skip = rest.strip() in hidden
    points = np.array(vertices, dtype=np.float64).reshape(-1, 3)
    return points[np.array(faces, dtype=np.int64).reshape(-1, 3)]


def see_through(archive: zipfile.ZipFile, path: str) -> set[str]:
    """Materials drawn with (next to) no opacity: helper shapes such as light cones, which no icon shows."""
    found, current = set(), ""
    try:
        text = archive.read(path).decode("latin-1")
    except KeyError:
        return set()
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "newmtl":
            current = rest.strip()
        elif word == "d" and float(rest.split()[-1]) < 0.01:
            found.add(current)
    return found


def sample(triangles: Floats, size: Floats, key: str) -> NDArray[np.float16] | None:
    """Draw POINTS points uniformly by area from a mesh stretched to its catalogue size, then centre and scale them.

    The program stretches every mesh's bounding box to the catalogue's width (x), height (y) and depth (z), so the
    same is done here before areas are taken. The seed depends on the model's id, never on the models before it.
    """
    low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    extent = np.where(high > low, high - low, 1.0)
    corners = (triangles - low) / extent * size
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    reach = np.cumsum(np.linalg.norm(np.cross(ab, ac), axis=1))
    if not len(reach) or not reach[-1] > 0:
        return None
    rng = np.random.default_rng([SEED, zlib.crc32(key.encode())])
    chosen = np.searchsorted(reach, rng.random(POINTS) * reach[-1], side="right")
    u, v = rng.random((2, POINTS, 1))
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    points = a[chosen] + u * ab[chosen] + v * ac[chosen]
    points -= points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1).max()
    return np.asarray(points, dtype=np.float16)


def read_icon(raw: bytes) -> bytes:
    """An icon on white, made square by padding (a few are not) and shrunk, as a PNG of few bytes."""
    image = Image.open(io.BytesIO(raw)).convert("RGBA")
    side = max(image.size)
    square = Image.new("RGBA", (side, side), "white")
    square.alpha_composite(image, ((side - image.width) // 2, (side - image.height) // 2))
    shrunk = square.convert("RGB").resize((ICON_SIDE, ICON_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    shrunk.save(out, format="PNG", optimize=True)
    return out.getvalue()
