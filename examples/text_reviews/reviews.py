"""Reviews of clothing and their rows of a table: retrieval both ways beside chance, and the department from the text alone.

python examples/data/build_reviews.py
python examples/text_reviews/reviews.py               # seeds 0, 1, 2, then docs/text-reviews.md
python examples/text_reviews/reviews.py --page        # the page again

Each seed's result lies in ``runs/text-reviews/SEED.json``; what is there of the config as it is isn't run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "text_debian"))

from debian import GALLERY, Rows, classify, cosines, labels_of, splits, standardised  # noqa: E402

CONFIG = HERE / "reviews.yaml"
RESULTS = Path("runs/text-reviews")
FIGURES = HERE.parents[1] / "docs/figures/reviews.json"
PAGE = HERE.parents[1] / "docs/text-reviews.md"
SEEDS = (0, 1, 2)


def config() -> dict[str, Any]:
    """``reviews.yaml``."""
    from contrapose.config.yaml import parse

    found: dict[str, Any] = parse(CONFIG.read_text("utf-8"), str(CONFIG)).data
    return found


def digest() -> str:
    """The config in eight letters."""
    return hashlib.sha256(json.dumps(config(), sort_keys=True).encode()).hexdigest()[:8]


def recall(scores: np.ndarray, k: int) -> float:
    """R@k of (n, n) scores whose diagonal holds the positives. Among equal scores any order is as likely."""
    own = scores.diagonal()[:, None]
    ahead = (scores > own + 1e-6).sum(axis=1)
    tied = (abs(scores - own) <= 1e-6).sum(axis=1)
    return float(((k - ahead) / tied).clip(0, 1).mean())


def measured(run: Any, data: dict[str, Rows]) -> dict[str, float]:
    """Retrieval among 1,000 test reviews, and the department of all by the text encoder's own features."""
    chosen = np.random.default_rng(0).permutation(len(data["test"]))[:GALLERY]
    both = run.embed("test")
    scores = cosines(both["text"].z[chosen], both["tabular"].z[chosen])
    features = {split: run.embed(split, "text", head="pooled")["text"].z for split in data}
    found = {"to_table": recall(scores, 10), "to_text": recall(scores.T, 10)}
    return found | {"department": classify(standardised(features), labels_of(data, "department"), "test")[0]}


def one_seed(seed: int, data: dict[str, Rows]) -> dict[str, Any]:
    """Train; measure it and its untrained beginning."""
    import contrapose as cp

    with tempfile.TemporaryDirectory() as folder:
        run = cp.train(config(), set=[f"train.seed={seed}"], out=Path(folder) / "run", quiet=True)
        return {"trained": measured(run, data), "untrained": measured(run.untrained(), data)}


def words(data: dict[str, Rows]) -> float:
    """The department by a ridge classifier on TF-IDF."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    fitted = TfidfVectorizer(sublinear_tf=True, min_df=2).fit([r["text"] for r in data["train"]])
    features = {split: fitted.transform([r["text"] for r in rows]) for split, rows in data.items()}
    return classify(features, labels_of(data, "department"), "test")[0]


def collect(data: dict[str, Rows], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All that the page says."""
    departments = Counter(row["department"] for row in data["test"])
    return {
        "config": digest(),
        "count": {split: len(rows) for split, rows in data.items()},
        "majority": departments.most_common(1)[0][1] / len(data["test"]),
        "words": words(data),
        "runs": runs,
    }


def page(found: dict[str, Any]) -> str:
    """The page."""
    lines = []
    for kind in ("untrained", "trained"):
        cells = [_spread([100 * r[kind][m] for r in found["runs"]]) for m in ("to_table", "to_text", "department")]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            rows="\n".join(lines),
            words=100 * found["words"],
            majority=100 * found["majority"],
            count=sum(found["count"].values()),
            seeds=", ".join(str(r["seed"]) for r in found["runs"]),
            epochs=config()["train"]["epochs"],
            **found["count"],
        )
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.1f}" + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def main() -> None:
    """Run what lacks a result, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--page", action="store_true", help="write the page of what was measured")
    args = parser.parse_args()
    if not args.page:
        data, runs = splits(config()["data"]), []
        RESULTS.mkdir(parents=True, exist_ok=True)
        for seed in args.seeds:
            file = RESULTS / f"{seed}.json"
            run = json.loads(file.read_text()) if file.exists() else {}
            if run.get("config") != digest():
                run = {"seed": seed, "config": digest(), **one_seed(seed, data)}
                file.write_text(json.dumps(run, indent=1) + "\n")
            print(json.dumps(run), flush=True)
            runs.append(run)
        FIGURES.write_text(json.dumps(collect(data, runs), indent=1) + "\n")
    PAGE.write_text(page(json.loads(FIGURES.read_text())))


if __name__ == "__main__":
    main()
