"""Sounds without labels: rendered notes, the same prompt in five languages, CC0 samples, beside what needs no training.

make audio-runs                                              # what lacks a result, then docs/audio-runs.md
python examples/audio_runs/audio_run.py notes cola-notes     # this row alone, of the notes
python examples/audio_runs/audio_run.py notes --validate --set train.lr=3e-3     # on val, for choosing: nothing is written

Each run is in ``runs/audio/QUESTION-ROW.json``; what is there isn't run again, unless its config has changed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import resumed  # noqa: E402

TABLE, RESULTS = HERE / "table.yaml", Path("runs/audio")
BY_HAND = {"notes": ("mean-log-mel", "forest"), "prompts": ("length", "mean-log-mel")}
"""Rows that need no network. Only the forest has chance in it."""
TREES = 200
Said = dict[str, Any]


def table() -> Said:
    """``table.yaml``."""
    return resumed.parsed(TABLE)


def rows(question: str, said: Said) -> list[str]:
    """All rows of a question's table."""
    return [*BY_HAND[question], *said[question]["rows"]]


def config_of(question: str, name: str, seed: int, said: Said) -> Said:
    """The config of one run; what needs no network has but the data."""
    from contrapose.engine.recipe import lay_over

    base = said[question]["base"]
    if name in BY_HAND[question]:
        return {"data": base["data"], "trees": TREES, "seed": seed}
    config: Said = lay_over(base, said[question]["rows"][name])
    return config | {"train": {**config["train"], "seed": seed}}


def digest(question: str, name: str, seed: int, said: Said) -> str:
    """A run's config in eight letters."""
    return resumed.digest(config_of(question, name, seed, said))


class Network:
    """A network of one run, trained or not: embeds sounds."""

    def __init__(self, config: Said, untrained: bool, overrides: list[str], folder: Path) -> None:
        import contrapose as cp
        from contrapose.engine.build import Parts
        from contrapose.engine.run import Run

        began = time.process_time()
        opened = cp.Config.of(config, overrides)
        if untrained:
            self.run = Run(folder, Parts(opened)).untrained()
        else:
            self.run = cp.train(opened, out=folder / "run", quiet=True)
        self.seconds = time.process_time() - began

    def __call__(self, of: Any) -> Any:
        """(n, D) float32: ``pooled``, the mean over a sound's parts."""
        from contrapose.types import Sample

        samples: Any = [Sample(i, {"audio": sound}, {}) for i, sound in enumerate(of.recordings)]
        return self.run.embed(samples, "audio", head="pooled")["audio"].z


def features_of(question: str, name: str, config: Said, overrides: list[str], folder: Path) -> tuple[Any, Said]:
    """What makes features of sounds, and what is to be said of its making."""
    from audio_features import log_mels, means, statistics

    rate = 8000 if question == "prompts" else 16000
    if name == "mean-log-mel":
        return lambda of: means(log_mels(of, rate)), {}
    if name == "forest":
        return lambda of: statistics(log_mels(of, rate)), {}
    network = Network(config, name == "untrained", overrides, folder)
    return network, {"seconds": network.seconds}


def notes(name: str, seed: int, parts: tuple[str, ...], features: Any, said: Said) -> dict[str, float]:
    """The family of notes of ``parts`` told by the train notes, and the kind of the CC0 samples, each by the others."""
    from audio_features import sounds
    from audio_measures import families, left_out
    from sklearn.ensemble import RandomForestClassifier

    every = sounds(said["notes"]["base"]["data"], 16000)
    of = {part: every.where(every.columns["split"] == part) for part in ("train", *parts)}
    z = {part: features(found) for part, found in of.items()}
    labels = {part: found.columns["family"] for part, found in of.items()}
    if name == "forest":
        trees = RandomForestClassifier(TREES, random_state=seed).fit(z["train"], labels["train"])
        return {f"{part} forest": float((trees.predict(z[part]) == labels[part]).mean()) for part in parts}
    asked = {part: (z[part], labels[part]) for part in parts}
    found = families(z["train"], labels["train"], of["train"].columns["pitch"], asked, seed)
    if "test" in parts:
        samples = sounds(said["samples"], 16000)
        samples = samples.where(samples.columns["kind"] != "")
        found["kinds"] = left_out(features(samples), samples.columns["kind"])
    return found


def prompts(name: str, seed: int, parts: tuple[str, ...], features: Any, said: Said) -> dict[str, float]:
    """The same prompt in another language, among the prompts of the one part that is asked."""
    from audio_features import sounds
    from audio_measures import across, by_length, centred

    every = sounds(said["prompts"]["base"]["data"], 8000)
    every = every.where((every.columns["split"] == "train") | (every.columns["split"] == parts[0]))
    columns = every.columns
    asked = columns["split"] == parts[0]
    if name == "length":
        z = by_length(columns["seconds"])
    else:
        z = centred(features(every), columns["language"], columns["split"] == "train")
    return across(z[asked], columns["language"][asked], columns["prompt"][asked], columns["seconds"][asked])


MEASURES = {"notes": (notes, ("test", "unheard")), "prompts": (prompts, ("test",))}


def one(question: str, name: str, seed: int, said: Said, validate: bool, overrides: list[str]) -> Said:
    """Train and measure one row with one seed."""
    measure, parts = MEASURES[question]
    with tempfile.TemporaryDirectory() as folder:
        if name == "length":
            features, told = None, {}
        else:
            config = config_of(question, name, seed, said)
            features, told = features_of(question, name, config, overrides, Path(folder))
        return {**measure(name, seed, ("val",) if validate else parts, features, said), **told}


def file_of(question: str, name: str) -> Path:
    """Where a row's runs are kept."""
    return RESULTS / f"{question}-{name}.json"


def current(question: str, name: str, said: Said) -> list[Said]:
    """The runs of the config as it is now."""
    return resumed.current(file_of(question, name), lambda seed: digest(question, name, seed, said))


def missing(question: str, name: str, seeds: list[int], said: Said) -> list[int]:
    """The seeds without a result of the config as it is now; of what has no chance in it, the first alone."""
    only = [0] if name in BY_HAND[question] and name != "forest" else seeds
    return resumed.missing(file_of(question, name), only, lambda seed: digest(question, name, seed, said))


def main() -> None:
    """Run what lacks a result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="?", choices=list(MEASURES), help="both, where it is left out")
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validate", action="store_true", help="measure on val, and write nothing")
    parser.add_argument("--set", action="append", default=[], help="override the config, with --validate")
    args = parser.parse_args()
    resumed.on_one_thread()
    said = table()
    if not Path(said["samples"]).exists():
        folder = Path(said["samples"]).parent
        subprocess.run([sys.executable, HERE.parent / "data/build_audio.py", "-o", folder], check=True)
    for seed in args.seeds:
        for question in [args.question] if args.question else MEASURES:
            for name in args.rows or rows(question, said):
                if args.validate or seed in missing(question, name, args.seeds, said):
                    found = one(question, name, seed, said, args.validate, args.set)
                    shown = ", ".join(f"{key} {value:.3g}" for key, value in found.items())
                    print(f"{question} {name} (seed {seed}): {shown}", flush=True)
                    if not args.validate:
                        run = {"seed": seed, "config": digest(question, name, seed, said), **found}
                        resumed.keep(file_of(question, name), run)


if __name__ == "__main__":
    main()
