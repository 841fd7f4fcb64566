"""Build the data of docs/audio-runs.md: ``notes``, ``phrases``, ``prompts`` and ``sounds.parquet``, a sound a row.

The sources are the Debian packages ``fluid-soundfont-gm`` (MIT), of which notes are rendered, ``asterisk-core-sounds-*-wav``
(CC-BY-SA, Russian and Italian CC-BY) and ``sonic-pi-samples`` (CC0), had by name from whatever mirror apt knows (``apt-get
download``), or ``--packages FOLDER`` if their .deb files are already there. Nothing of them is kept in this repository.

pip install --no-deps tinysoundfont
python examples/data/build_audio.py -o runs/data/audio
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

LANGUAGES = ("en", "es", "fr", "it", "ru")
PACKAGES = ("fluid-soundfont-gm", "sonic-pi-samples", *(f"asterisk-core-sounds-{of}-wav" for of in LANGUAGES))
RATE = 16_000

UNHEARD = (3, 6)
"""Of the eight instruments of each family of General MIDI, counted from 0: those that nothing is trained on."""
NOTES = {  # pitches and velocities (MIDI numbers) of each split; test and val lie midway between those of train
    "train": (range(36, 91, 6), (48, 112)),
    "val": (range(45, 82, 12), (80,)),
    "test": (range(39, 88, 12), (64, 96)),
    "unheard": (range(39, 88, 12), (64, 96)),
}
PHRASES = 20
"""Of each instrument that is heard: 4 s of the pitches and velocities of train, for pretraining."""

NO_SPEECH = {
    "ascending-2tone",
    "beep",
    "beeperr",
    "confbridge-join",
    "confbridge-leave",
    "descending-2tone",
    "tt-monkeys",
}
SHARES = {"test": 25, "val": 40, "train": 100}
"""Percent of the prompts up to which a split reaches."""

Row = dict[str, Any]


class Band:
    """All instruments of a soundfont, one note after the other."""

    def __init__(self, soundfont: Path) -> None:
        try:
            from tinysoundfont import Synth
        except ImportError:
            sys.exit("rendering needs tinysoundfont: pip install --no-deps tinysoundfont")
        self.synth = Synth(gain=-6, samplerate=RATE)
        self.font = self.synth.sfload(str(soundfont))

    def choose(self, program: int) -> str:
        """Take an instrument; its name."""
        self.synth.sounds_off(0)
        self.synth.program_select(0, self.font, 0, program)
        name: str = self.synth.sfpreset_name(self.font, 0, program)
        return name

    def play(self, pitch: int, velocity: int, held: float, release: float) -> np.ndarray:
        """A note: (samples,) float32, one channel, of so many seconds till it is let go and after."""
        self.synth.sounds_off(0)
        self.synth.noteon(0, pitch, velocity)
        parts = [self._sound(held)]
        self.synth.noteoff(0, pitch)
        return np.concatenate([*parts, self._sound(release)])

    def _sound(self, seconds: float) -> np.ndarray:
        heard = np.frombuffer(bytes(self.synth.generate(round(seconds * RATE))), np.float32)
        return heard.reshape(-1, 2).mean(1)


def notes(band: Band) -> Iterator[Row]:
    """Single notes of 2 s; where an instrument hasn't that pitch, it is silent, and left out."""
    for program in range(128):
        name, unheard = band.choose(program), program % 8 in UNHEARD
        for split, (pitches, velocities) in NOTES.items():
            if unheard != (split == "unheard"):
                continue
            for pitch in pitches:
                for velocity in velocities:
                    sound = band.play(pitch, velocity, held=1.5, release=0.5)
                    if np.abs(sound).max() > 1e-3:
                        yield {**row(sound, program, name), "pitch": pitch, "velocity": velocity, "split": split}


def phrases(band: Band) -> Iterator[Row]:
    """Notes of one instrument drawn one after the other, each of a quarter, half or whole second, 4 s in all."""
    pitches, velocities = NOTES["train"]
    rng = np.random.default_rng(0)
    for program in range(128):
        if program % 8 in UNHEARD:
            continue
        name = band.choose(program)
        for _ in range(PHRASES):
            sounds: list[np.ndarray] = []
            while sum(map(len, sounds)) < 4 * RATE:
                held = float(rng.choice([0.25, 0.5, 1.0]))
                sounds.append(band.play(int(rng.choice(pitches)), int(rng.choice(velocities)), held, release=0.0))
            sound = np.concatenate(sounds)[: 4 * RATE]
            if np.abs(sound).max() > 1e-3:
                yield row(sound, program, name)


def row(sound: np.ndarray, program: int, name: str) -> Row:
    """A rendered sound, and of what."""
    return {"audio": as_wav(sound), "program": program, "instrument": name, "family": program // 8}


def as_wav(sound: np.ndarray) -> bytes:
    """One channel at ``RATE``, of 16 bits."""
    file = io.BytesIO()
    soundfile.write(file, sound, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def prompts(folder: Path) -> Iterator[Row]:
    """The spoken prompts that all languages have; splits are by prompt, by a digest of its name."""
    roots = {of: next(folder.glob(f"asterisk-core-sounds-{of}-wav/usr/share/asterisk/sounds/*")) for of in LANGUAGES}
    names = set.intersection(*({_name(f, root) for f in root.rglob("*.wav")} for root in roots.values()))
    spoken = sorted(name for name in names if name not in NO_SPEECH and not name.startswith("silence/"))
    for number, name in enumerate(spoken):
        place = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100
        split = next(split for split, end in SHARES.items() if place < end)
        for language, root in roots.items():
            file = root / f"{name}.wav"
            yield {
                "audio": file.read_bytes(),
                "split": split,
                "prompt": number,
                "name": name,
                "language": language,
                "seconds": soundfile.info(file).duration,
            }


def sounds(folder: Path) -> Iterator[Row]:
    """Sonic Pi's samples, FLAC as they are; the first word of a name is its kind, where ten samples or more have it."""
    files = sorted(folder.glob("sonic-pi-samples/usr/share/sonic-pi/samples/*.flac"))
    count = Counter(file.stem.split("_")[0] for file in files)
    for file in files:
        kind = file.stem.split("_")[0]
        yield {"audio": file.read_bytes(), "name": file.stem, "kind": kind if count[kind] >= 10 else ""}


def _name(file: Path, root: Path) -> str:
    return file.relative_to(root).with_suffix("").as_posix()


def unpack(packages: Path | None, folder: Path) -> None:
    """The packages' files, a folder each."""
    for package in PACKAGES:
        if packages is None:
            subprocess.run(["apt-get", "download", "-qq", package], check=True, cwd=folder)
        found = sorted((packages or folder).glob(f"{package}_*.deb"))
        if not found:
            sys.exit(f"{packages} holds no {package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", found[-1], folder / package], check=True)


def write(file: Path, rows: list[Row]) -> None:
    """A table, and what it holds in a line."""
    pq.write_table(pa.Table.from_pylist(rows), file)
    counts = Counter(row["split"] for row in rows if "split" in row)
    print(f"{file}: {len(rows):,} sounds", *(f"{n:,} {split}" for split, n in counts.items()), sep=", ")


def main() -> None:
    """Build the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, help="a folder with the .deb files, if they are already here")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/data/audio"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        unpack(args.packages, folder)
        band = Band(folder / "fluid-soundfont-gm/usr/share/sounds/sf2/FluidR3_GM.sf2")
        write(args.out / "notes.parquet", [*notes(band)])
        write(args.out / "phrases.parquet", [*phrases(band)])
        write(args.out / "prompts.parquet", [*prompts(folder)])
        write(args.out / "sounds.parquet", [*sounds(folder)])


if __name__ == "__main__":
    main()
