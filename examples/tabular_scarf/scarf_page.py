"""docs/tabular-scarf.md and its figures from the runs of protocol.py.

python examples/tabular_scarf/scarf_page.py --collect     # runs/tabular-scarf/*.json to docs/figures/tabular-scarf.json, then all
python examples/tabular_scarf/scarf_page.py               # page and figures again
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classify import ENDS
from compare import LEVEL, corrected_test, holm, over_tables, wins
from protocol import HERE, digest, file_of, resumed, table
from scipy import stats

ROOT = HERE.parents[1]
FIGURES = ROOT / "docs/figures/tabular-scarf.json"
PLOT = ROOT / "docs/figures/tabular-scarf.png"
PAGE = ROOT / "docs/tabular-scarf.md"
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
    """The splits that every table has. Raises ``SystemExit`` where a table has none of table.yaml as it is."""
    import torch

    said = table()
    splits, tables = _shared(said["datasets"], said)
    _, apart = _shared(said["apart"], said)
    _, rest = _shared(said["rest"], said)
    return {"splits": splits, "torch": torch.__version__, "tables": tables, "apart": apart, "rest": rest}


def _shared(names: list[str], said: Found) -> tuple[list[int], Found]:
    runs = {
        name: {
            run["split"]: run
            for run in resumed.current(file_of(name), lambda split, name=name: digest(name, split, said), "split")
        }
        for name in names
    }
    shared = sorted(set.intersection(*(set(of) for of in runs.values())))
    if len(shared) < 2:
        lacking = [name for name, of in runs.items() if len(of) < 2]
        raise SystemExit(f"too few splits yet of {', '.join(lacking)}; run examples/tabular_scarf/protocol.py")
    return shared, {name: [of[split] for split in shared] for name, of in runs.items()}


def accuracies(found: Found, name: str, setting: str, classifier: str, ways: Sequence[Way] = WAYS) -> list[float]:
    """Of each split, in per cent; of a network the mean over ``ways``."""
    made = []
    for run in found["tables"][name]:
        of = run["accuracy"][setting]
        own = [of[classifier]] if classifier in of else [of[f"{classifier}, {init}"][end] for init, end in ways]
        made.append(100 * statistics.mean(own))
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


def half(of: Sequence[float]) -> float:
    """Half the width of Student's 95 % interval of a mean over tables."""
    return float(stats.t.ppf(0.975, len(of) - 1)) * statistics.stdev(of) / math.sqrt(len(of))


def corrected(found: Found, setting: str) -> list[float]:
    """p of each table, corrected for shared rows and for the number of tables."""
    return holm([corrected_test(differences(found, name, setting), TEST_SHARE) for name in found["tables"]])


def helps(found: Found, setting: str) -> bool:
    """The reading: a mean gain above 0, and p below 0.05 over tables."""
    of = gains(found, setting)
    return statistics.mean(of) > 0 and over_tables(of) < LEVEL


def verdict(found: Found) -> str:
    """The readings in words."""
    shown = [said for setting, said in WITH.items() if helps(found, setting)]
    not_shown = [said for said in WITH.values() if said not in shown]
    said = [f"it helps {_listed(shown, 'and')}"] if shown else []
    said += [f"it is not shown to help {_listed(not_shown, 'or')}"] if not_shown else []
    more = statistics.mean(gains(found, "quarter")) > statistics.mean(gains(found, "full"))
    clearly = "clearly so" if helps(found, "quarter") and more else "not clearly more so"
    return f"{'; '.join(said)}; {clearly} with a quarter of the labels."


WITH = {"full": "with all labels", "quarter": "with a quarter of them", "noise": "with 30 % of them wrong"}


def relative(found: Found, setting: str) -> float:
    """The mean over tables of the gain in per cent of the accuracy from scratch: what the paper averages."""
    scratch = [statistics.mean(accuracies(found, name, setting, "scratch")) for name in found["tables"]]
    return statistics.mean(100 * g / c for g, c in zip(gains(found, setting), scratch, strict=True))


def headline(found: Found) -> str:
    """The gains over tables, beside the paper's."""
    lines = [
        "| labels | gain, points | 95 % interval | relative gain, % | Wilcoxon p | won, tied, lost | corrected test | paper, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for setting, shown in SETTINGS.items():
        of = gains(found, setting)
        mean, n, wide = statistics.mean(of), len(of), half(of)
        won, lost = wins(
            *([accuracies(found, name, setting, c) for name in found["tables"]] for c in ("scarf", "scratch"))
        )
        sure = [(p, g) for p, g in zip(corrected(found, setting), of, strict=True) if p < LEVEL]
        tested = f"{sum(g > 0 for _, g in sure)} better, {sum(g < 0 for _, g in sure)} worse"
        lines.append(
            f"| {shown.lower()} | **{mean:+.2f}** | {mean - wide:+.2f} to {mean + wide:+.2f} "
            f"| {relative(found, setting):+.2f} | {over_tables(of):.3f} | {won}, {n - won - lost}, {lost} | {tested} "
            f"| {PAPER[setting]:+.2f} |"
        )
    return "\n".join(lines)


def known(found: Found) -> Found:
    """The tables of ``OWN`` alone."""
    both = found["tables"] | found["apart"]
    return {"tables": {name: both[name] for name in OWN}}


def beside_the_paper(found: Found) -> str:
    """The tables of which the paper's own accuracies are known, beside ours."""
    alone = known(found)
    lines = [
        "| table | paper: all labels | " + " | ".join(f"ours: {shown.lower()}" for shown in SETTINGS.values()) + " |",
        "|---|---|---|---|---|",
    ]
    for name, (scratch, scarf) in OWN.items():
        cells = [f"{scratch}, {scarf}: {scarf - scratch:+.1f}"]
        for setting in SETTINGS:
            means = [statistics.mean(accuracies(alone, name, setting, c)) for c in ("scratch", "scarf")]
            of = differences(alone, name, setting)
            cells.append(
                f"{means[0]:.1f}, {means[1]:.1f}: {statistics.mean(of):+.1f} (p {corrected_test(of, TEST_SHARE):.3f})"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def depends(found: Found) -> str:
    """The mean accuracies from scratch and of SCARF, and the gain, by how networks start and how fine-tuning ends."""
    lines = [
        "| starts | ends by | keeps | " + " | ".join(shown.lower() for shown in SETTINGS.values()) + " |",
        "|---|---|---|---|---|---|",
    ]
    for init, start in INITS.items():
        for end in ENDS:
            cells = []
            for setting in SETTINGS:
                of = gains(found, setting, [(init, end)])
                scratch, scarf = (mean_of(found, setting, c, [(init, end)]) for c in ("scratch", "scarf"))
                cells.append(
                    f"{scratch:.1f}, {scarf:.1f}: {statistics.mean(of):+.2f} ± {half(of):.2f} (p {over_tables(of):.3f})"
                )
            kept = "the last" if end.endswith("last") else "the best"
            lines.append(f"| {start} | {end.split(',')[0]} | {kept} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mean_of(found: Found, setting: str, classifier: str, ways: Sequence[Way] = WAYS) -> float:
    """A classifier's mean accuracy over tables."""
    return statistics.mean(
        statistics.mean(accuracies(found, name, setting, classifier, ways)) for name in found["tables"]
    )


def by_table(found: Found, setting: str) -> str:
    """The accuracies of every table in a setting."""
    lines = [
        f"### {SETTINGS[setting]}",
        "",
        f"| table | {' | '.join(CLASSIFIERS.values())} | gain | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, p in zip(found["tables"], corrected(found, setting), strict=True):
        of = [accuracies(found, name, setting, c) for c in CLASSIFIERS]
        best = max(map(statistics.mean, of))
        cells = [_bold(f"{statistics.mean(a):.1f} ± {statistics.stdev(a):.1f}", statistics.mean(a) == best) for a in of]
        gained = statistics.mean(differences(found, name, setting))
        lines.append(f"| {name} | {' | '.join(cells)} | {round(gained, 1) + 0.0:+.1f} | {p:.2f} |")
    return "\n".join(lines)


def means(found: Found) -> str:
    """Each classifier's mean over tables, and how SCARF stands against it by the paper's count."""
    lines = [
        "| labels | " + " | ".join(CLASSIFIERS.values()) + " | SCARF against trees | against logistic |",
        "|---|---|---|---|---|---|---|",
    ]
    for setting, shown in SETTINGS.items():
        cells = [f"{mean_of(found, setting, c):.1f}" for c in CLASSIFIERS]
        for than in ("trees", "logistic"):
            won, lost = wins(*([accuracies(found, n, setting, c) for n in found["tables"]] for c in ("scarf", than)))
            cells.append(f"{won} won, {lost} lost")
        lines.append(f"| {shown.lower()} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(found: Found) -> str:
    """The page."""
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            splits=len(found["splits"]),
            headline=headline(found),
            verdict=verdict(found),
            own=beside_the_paper(found),
            depends=depends(found),
            means=means(found),
            settings="\n\n".join(by_table(found, setting) for setting in SETTINGS),
            names=rows(found),
            steps=steps(found),
            epochs=epochs(found),
            torch=found["torch"],
            seconds=sum(run["seconds"] for run in runs(found)),
        )
    )


def runs(found: Found) -> list[Found]:
    """Those of all tables."""
    return [run for of in found["tables"].values() for run in of]


def rows(found: Found) -> str:
    """The tables with their rows."""
    return ", ".join(f"{name} ({sum(of[0]['rows'].values()):,})" for name, of in found["tables"].items())


def steps(found: Found) -> str:
    """The median of what pretraining took."""
    batch = table()["pretrain"]["train"]["batch_size"]
    of = [
        count * (run["rows"]["train"] // min(batch, run["rows"]["train"]))
        for run in runs(found)
        for count in run["epochs"].values()
    ]
    return f"{statistics.median(of):.0f}"


def epochs(found: Found) -> str:
    """After how many pretraining ended: median and range."""
    of = [count for run in runs(found) for count in run["epochs"].values()]
    return f"{statistics.median(of):.0f}, {min(of)} to {max(of)}"


def draw(found: Found, path: Path) -> None:
    """Gains of each table over scratch: a dot a split, a bar for their mean, a panel a setting."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    names = [*found["tables"]][::-1]
    fig, panels = plt.subplots(1, len(SETTINGS), figsize=(11, 0.4 * len(names) + 1.6), sharey=True, sharex=True)
    for panel, (setting, shown) in zip(panels, SETTINGS.items(), strict=True):
        for y, name in enumerate(names):
            of = differences(found, name, setting)
            mean = statistics.mean(of)
            colour = "#1b7837" if mean > 0 else "#b2182b"
            panel.plot(of, [y] * len(of), "o", color=colour, alpha=0.35, markersize=5, markeredgewidth=0)
            panel.plot([mean, mean], [y - 0.32, y + 0.32], color=colour, linewidth=2.5)
        overall = statistics.mean(gains(found, setting))
        panel.axvline(0, color="black", linewidth=0.8)
        panel.axvline(overall, color="#2166ac", linewidth=1.2, linestyle="--")
        panel.set_title(f"{shown}: {overall:+.2f}", fontsize=10)
        panel.grid(axis="x", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    panels[0].set_yticks(range(len(names)), names)
    panels[1].set_xlabel(
        "test accuracy of SCARF less that of the same network from scratch, percentage points; a dot a split, a bar their mean"
    )
    fig.tight_layout()
    fig.savefig(path, dpi=110)
    plt.close(fig)


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _listed(words: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def main() -> None:
    """Write the page and its figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", action="store_true")
    args = parser.parse_args()
    if args.collect:
        FIGURES.write_text(json.dumps(collect(), separators=(",", ":")) + "\n")
    PAGE.write_text(page(load()), "utf-8")
    draw(load(), PLOT)


if __name__ == "__main__":
    main()
