"""Text encoders from scratch on Debian's package descriptions, beside TF-IDF: short to long retrieval, and the section.

python examples/data/build_debian.py
python examples/text_debian/debian.py                 # all that lack a result; then debian_page.py --collect
python examples/text_debian/debian.py bag --seeds 0   # this encoder alone
python examples/text_debian/debian.py bag --validate --set train.lr=3e-3     # on val, for choosing: nothing is written

Each result is a run of ``runs/text-debian/NAME.json``; what is there isn't run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
RESULTS = Path("runs/text-debian")
GALLERY = 1000
PENALTIES = {"cholesky": (0.01, 0.1, 1.0, 10.0, 100.0), "sparse_cg": (0.3, 1.0, 3.0)}
"""Of the ridge classifier, by its solver; chosen on val."""

Rows = list[dict[str, Any]]


def table() -> dict[str, Any]:
    """``table.yaml``."""
    from contrapose.config.yaml import parse

    file = HERE / "table.yaml"
    found: dict[str, Any] = parse(file.read_text("utf-8"), str(file)).data
    return found


def names(said: dict[str, Any]) -> list[str]:
    """All rows of the page."""
    return ["tf-idf", *(f"{kind}{name}" for name in said["encoders"] for kind in ("untrained-", ""))]


def config_of(name: str, seed: int, said: dict[str, Any]) -> dict[str, Any]:
    """The config of one run; TF-IDF has but the data."""
    from contrapose.engine.recipe import lay_over

    if name == "tf-idf":
        return {"data": said["base"]["data"]}
    config: dict[str, Any] = lay_over(said["base"], said["encoders"][name.removeprefix("untrained-")])
    return config | {"train": {**config["train"], "seed": seed}}


def digest(name: str, seed: int, said: dict[str, Any]) -> str:
    """A run's config in eight letters."""
    return hashlib.sha256(json.dumps(config_of(name, seed, said), sort_keys=True).encode()).hexdigest()[:8]


def splits(data: str) -> dict[str, Rows]:
    """The rows by split."""
    rows = pq.read_table(data).to_pylist()
    return {split: [r for r in rows if r["split"] == split] for split in ("train", "val", "test")}


def pairs(rows: Rows) -> Rows:
    """1,000 packages, drawn by one fixed seed."""
    return [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:GALLERY]]


def recall(scores: np.ndarray) -> float:
    """R@1 of (n, n) scores whose diagonal holds the positives; a tie counts as lost."""
    best = scores.diagonal().copy()
    others = scores - np.diag(np.full(len(scores), np.inf))
    return float((best > others.max(axis=1)).mean())


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of all rows of ``a`` with all of ``b``."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12) for x in (a, b))
    found: np.ndarray = a @ b.T
    return found


def classify(features: dict[str, Any], labels: dict[str, np.ndarray], part: str) -> tuple[float, float]:
    """Accuracy of a ridge classifier on ``part``, and its penalty, chosen on val."""
    from sklearn.linear_model import RidgeClassifier

    solver = "sparse_cg" if hasattr(features["train"], "tocsr") else "cholesky"
    fits = [
        RidgeClassifier(alpha=a, solver=solver, tol=1e-3).fit(features["train"], labels["train"])
        for a in PENALTIES[solver]
    ]
    accuracies = [float((f.predict(features["val"]) == labels["val"]).mean()) for f in fits]
    best = int(np.argmax(accuracies))
    return float((fits[best].predict(features[part]) == labels[part]).mean()), PENALTIES[solver][best]


def standardised(features: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By the training split's mean and spread, to about unit length."""
    mean, spread = features["train"].mean(0), features["train"].std(0)
    return {split: (z - mean) / spread.clip(1e-9) / len(mean) ** 0.5 for split, z in features.items()}


def labels_of(data: dict[str, Rows], column: str) -> dict[str, np.ndarray]:
    """A column by split."""
    return {split: np.array([row[column] for row in rows]) for split, rows in data.items()}


def vectorizer(data: dict[str, Rows]) -> Any:
    """TF-IDF of words, fitted on the training split."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    made = TfidfVectorizer(sublinear_tf=True, min_df=2)
    return made.fit(whole(data["train"]))


def whole(rows: Rows) -> list[str]:
    """Both descriptions as one text."""
    return [f"{r['short']}\n{r['long']}" for r in rows]


def tf_idf(data: dict[str, Rows], part: str) -> dict[str, Any]:
    """The baseline's figures."""
    fitted, held = vectorizer(data), pairs(data[part])
    a, b = (fitted.transform([r[column] for r in held]) for column in ("short", "long"))
    words = {split: fitted.transform(whole(rows)) for split, rows in data.items()}
    accuracy, penalty = classify(words, labels_of(data, "section"), part)
    return {"r1": recall((a @ b.T).toarray()), "section": accuracy, "penalty": penalty}


def one_seed(
    name: str, seed: int, said: dict[str, Any], data: dict[str, Rows], part: str, overrides: list[str]
) -> dict[str, Any]:
    """Train and measure one encoder."""
    import contrapose as cp
    from contrapose.engine.build import Parts
    from contrapose.engine.run import Run
    from contrapose.types import Sample

    config = cp.Config.of(config_of(name, seed, said), overrides)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        if name.startswith("untrained-"):
            run = Run(Path(folder), Parts(config))
            run.method = run.parts.make_method().eval()
        else:
            run = cp.train(config, out=Path(folder) / "run", quiet=True)
        seconds = time.process_time() - began

        def embed(texts: Sequence[str]) -> np.ndarray:
            samples: Any = [Sample(i, {"text": text.strip()}, {}) for i, text in enumerate(texts)]
            found: np.ndarray = run.embed(samples, head="pooled")["text"].z
            return found

        held = pairs(data[part])
        halves = {column: [r[column] for r in held] for column in ("short", "long")}
        scores = cosines(embed(halves["short"]), embed(halves["long"]))
        features = {split: embed(whole(rows)) for split, rows in data.items()}
    accuracy, penalty = classify(standardised(features), labels_of(data, "section"), part)
    found = {"r1": recall(scores), "section": accuracy, "penalty": penalty, "seconds": seconds}
    if not name.startswith("untrained-"):
        fitted = vectorizer(data)
        words = (fitted.transform(halves["short"]) @ fitted.transform(halves["long"]).T).toarray()
        found["hybrid_r1"] = recall(scores + words)
    return found


def known(name: str) -> Rows:
    """The runs that have a result."""
    file = RESULTS / f"{name}.json"
    found: Rows = json.loads(file.read_text()) if file.exists() else []
    return found


def missing(name: str, seeds: Sequence[int], said: dict[str, Any]) -> list[int]:
    """The seeds without a result of the config as it is now; TF-IDF has no chance in it."""
    there = {r["seed"] for r in known(name) if r["config"] == digest(name, r["seed"], said)}
    return [seed for seed in ([0] if name == "tf-idf" else seeds) if seed not in there]


def main() -> None:
    """Run what lacks a result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validate", action="store_true", help="measure on val, and write nothing")
    parser.add_argument("--set", action="append", default=[], help="override the config, with --validate")
    args = parser.parse_args()
    from contrapose.plugins import registry

    registry().load_file(HERE / "halves.py")
    said = table()
    data = splits(said["base"]["data"])
    part = "val" if args.validate else "test"
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for name in args.names or names(said):
            if not args.validate and seed not in missing(name, args.seeds, said):
                continue
            found = tf_idf(data, part) if name == "tf-idf" else one_seed(name, seed, said, data, part, args.set)
            print(f"{name:22} seed {seed} {part}  {json.dumps(found)}", flush=True)
            if not args.validate:
                runs = [r for r in known(name) if r["seed"] != seed]
                runs.append({"seed": seed, "config": digest(name, seed, said), **found})
                (RESULTS / f"{name}.json").write_text(json.dumps(sorted(runs, key=_seed), indent=1) + "\n")


def _seed(run: dict[str, Any]) -> int:
    return int(run["seed"])


if __name__ == "__main__":
    main()
