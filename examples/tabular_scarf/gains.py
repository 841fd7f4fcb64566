"""What the runs of protocol.py found: accuracies, gains of SCARF over the network from scratch, and what is read of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from compare import LEVEL, corrected_test, holm, over_tables
from protocol import HERE, digest, file_of, resumed, table

ROOT = HERE.parents[1]
FIGURES = ROOT / "docs/figures/tabular-scarf.json"
TEST_SHARE = 0.2
SETTINGS = {"full": "All labels", "quarter": "A quarter of the labels", "noise": "30 % of the labels wrong"}
CLASSIFIERS = {"scratch": "scratch", "scarf": "SCARF", "logistic": "logistic", "trees": "trees"}
INITS = {"he": "as `tabular/mlp`, He's", "pytorch": "as `torch.nn.Linear`"}
PAPER = {"full": 2.35, "quarter": 3.69, "noise": 2.26}
OWN = {"tic-tac-toe": (90.5, 97.5), "phoneme": (85.3, 87.6), "letter-whole": (94.7, 95.8), "madelon": (54.2, 70.2)}
"""The paper's accuracies with all labels, from scratch and by SCARF, of the tables of which they are known here."""
Way = tuple[str, str]
WAYS: tuple[Way, ...] = tuple((init, end) for init in INITS for end in ("error", "error, last"))
"""How networks start and what is kept where fine-tuning ends by error: what the paper leaves open, and readings are the mean of."""

Found = dict[str, Any]


def load() -> Found:
    """The runs as they are in docs/figures."""
    found: Found = json.loads(FIGURES.read_text("utf-8"))
    return found


def collect() -> Found:
    """All runs of table.yaml as it is; of the rest of the suite those tables that have theirs. Raises ``SystemExit``."""
    import torch

    said = table()
    runs = {name: _runs(name, said) for name in said["datasets"] + said["apart"] + said["rest"]}
    lacking = [name for name in said["datasets"] + said["apart"] if len(runs[name]) < said["splits"]]
    if lacking:
        raise SystemExit(f"splits are missing of {', '.join(lacking)}; run examples/tabular_scarf/protocol.py")
    rest = {name: runs[name] for name in said["rest"] if len(runs[name]) == said["splits"]}
    return {
        "torch": torch.__version__,
        "tables": {name: runs[name] for name in said["datasets"]},
        "apart": {name: runs[name] for name in said["apart"]},
        "rest": {name: of[: said["rest_splits"]] for name, of in rest.items()},
        "again": {name: of[said["rest_splits"] :] for name, of in rest.items()},
    }


def _runs(name: str, said: Found) -> list[Found]:
    current = resumed.current(file_of(name), lambda split: digest(name, split, said), "split")
    return [run for run in current if run["split"] < said["splits"]]


def accuracies(found: Found, name: str, setting: str, classifier: str, ways: Sequence[Way] = WAYS) -> list[float]:
    """Of each split, in per cent; of a network the mean over ``ways``."""
    made = []
    for run in found["tables"][name]:
        of = run["accuracy"][setting]
        own = [of[classifier]] if classifier in of else [of[f"{classifier}, {init}"][end] for init, end in ways]
        made.append(round(100 * statistics.mean(own), 9))  # equal ones are to be equal
    return made


def differences(
    found: Found, name: str, setting: str, than: str = "scratch", ways: Sequence[Way] = WAYS
) -> list[float]:
    """SCARF less another, split by split, in percentage points."""
    ours, theirs = (accuracies(found, name, setting, c, ways) for c in ("scarf", than))
    return [a - b for a, b in zip(ours, theirs, strict=True)]


def gains(found: Found, setting: str, ways: Sequence[Way] = WAYS) -> list[float]:
    """The mean gain of each table over the network from scratch."""
    return [statistics.mean(differences(found, name, setting, ways=ways)) for name in found["tables"]]


def mean_of(found: Found, setting: str, classifier: str, ways: Sequence[Way] = WAYS) -> float:
    """A classifier's mean accuracy over tables."""
    return statistics.mean(
        statistics.mean(accuracies(found, name, setting, classifier, ways)) for name in found["tables"]
    )


def corrected(found: Found, setting: str) -> list[float]:
    """p of each table, corrected for shared rows and for the number of tables."""
    return holm([corrected_test(differences(found, name, setting), TEST_SHARE) for name in found["tables"]])


def helps(found: Found, setting: str) -> bool:
    """The reading: a mean gain above 0, and p below 0.05 over tables."""
    of = gains(found, setting)
    return statistics.mean(of) > 0 and over_tables(of) < LEVEL


def relative(found: Found, setting: str) -> float:
    """The mean over tables of the gain in per cent of the accuracy from scratch: what the paper averages."""
    scratch = [statistics.mean(accuracies(found, name, setting, "scratch")) for name in found["tables"]]
    return statistics.mean(100 * g / c for g, c in zip(gains(found, setting), scratch, strict=True))


def suite(found: Found) -> Found:
    """All tables at once, but for the whole of letter."""
    return {"tables": found["tables"] | found["rest"] | {"madelon": found["apart"]["madelon"]}}


def at_ten(found: Found) -> Found:
    """What was found where the rest has all its splits, as the others have."""
    return found | {"rest": {name: of + found["again"][name] for name, of in found["rest"].items()}}


def groups(found: Found) -> dict[str, Found]:
    """What readings are made of, by what the page calls it."""
    all_of_them, first, rest = suite(found), {"tables": found["tables"]}, {"tables": found["rest"]}
    made = {
        f"all {len(all_of_them['tables'])}": all_of_them,
        f"the {len(rest['tables'])} of copies": rest,
        f"the {len(first['tables'])} of packages": first,
    }
    return {said: group for said, group in made.items() if group["tables"]}
