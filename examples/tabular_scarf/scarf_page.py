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

from classify import ENDS
from compare import LEVEL, corrected_test, over_tables, wins
from gains import (
    CLASSIFIERS,
    FIGURES,
    INITS,
    OWN,
    PAPER,
    ROOT,
    SETTINGS,
    TEST_SHARE,
    Found,
    accuracies,
    at_ten,
    collect,
    corrected,
    differences,
    gains,
    groups,
    helps,
    load,
    mean_of,
    relative,
    suite,
)
from protocol import HERE, table
from scarf_figure import draw
from scipy import stats

PAGE = ROOT / "docs/tabular-scarf.md"


def half(of: Sequence[float]) -> float:
    """Half the width of Student's 95 % interval of a mean over tables."""
    return float(stats.t.ppf(0.975, len(of) - 1)) * statistics.stdev(of) / math.sqrt(len(of))


def verdict(found: Found) -> str:
    """The readings in words."""
    shown = [said for setting, said in WITH.items() if helps(found, setting)]
    not_shown = [said for said in WITH.values() if said not in shown]
    said = [f"it helps {_listed(shown, 'and')}"] if shown else []
    said += [f"it is not shown to help {_listed(not_shown, 'or')}"] if not_shown else []
    more = statistics.mean(gains(found, "quarter")) > statistics.mean(gains(found, "full"))
    clearly = "clearly so" if helps(found, "quarter") and more else "not clearly more so"
    return f"{'; '.join(said)}; {clearly} with a quarter of the labels."


WITH = {"full": "with all labels", "quarter": "with a quarter of the labels", "noise": "with 30 % of them wrong"}


def headline(of: dict[str, Found]) -> str:
    """The gains over each group's tables, beside the paper's."""
    lines = [
        "| tables | labels | gain, points | 95 % interval | gain, % | paper, % | Wilcoxon p | won, tied, lost | corrected test |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for said, group in of.items():
        lines += [f"| {said} {_gain(group, setting)}" for setting in SETTINGS]
    return "\n".join(lines)


def again(found: Found) -> dict[str, Found]:
    """The groups with the splits that came after the readings."""
    if not found["rest"]:
        return {}
    whole, rest, _ = groups(at_ten(found)).items()
    return {
        f"{rest[0]}, the new splits alone": {"tables": found["again"]},
        f"{rest[0]}, ten splits": rest[1],
        f"{whole[0]}, ten splits": whole[1],
    }


def _gain(found: Found, setting: str) -> str:
    of = gains(found, setting)
    mean, n, wide = statistics.mean(of), len(of), half(of)
    won, lost = wins(*([accuracies(found, n, setting, c) for n in found["tables"]] for c in ("scarf", "scratch")))
    sure = [(p, g) for p, g in zip(corrected(found, setting), of, strict=True) if p < LEVEL]
    tested = f"{sum(g > 0 for _, g in sure)} better, {sum(g < 0 for _, g in sure)} worse"
    return (
        f"| {SETTINGS[setting].lower()} | **{mean:+.2f}** | {mean - wide:+.2f} to {mean + wide:+.2f} "
        f"| {relative(found, setting):+.2f} | {PAPER[setting]:+.2f} | {_p(over_tables(of))} "
        f"| {won}, {n - won - lost}, {lost} | {tested} |"
    )


def beside_the_paper(found: Found) -> str:
    """The tables of which the paper's own accuracies are known, beside ours."""
    alone = {"tables": found["tables"] | found["apart"]}
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
                f"{means[0]:.1f}, {means[1]:.1f}: {statistics.mean(of):+.1f} (p {_p(corrected_test(of, TEST_SHARE))})"
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
                    f"{scratch:.1f}, {scarf:.1f}: {statistics.mean(of):+.2f} ± {half(of):.2f} (p {_p(over_tables(of))})"
                )
            kept = "the last" if end.endswith("last") else "the best"
            lines.append(f"| {start} | {end.split(',')[0]} | {kept} | {' | '.join(cells)} |")
    return "\n".join(lines)


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
        lines.append(f"| {name} | {' | '.join(cells)} | {round(gained, 1) + 0.0:+.1f} | {_p(p)} |")
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


def verdicts(of: dict[str, Found]) -> str:
    """The readings of each group."""
    return "\n".join(f"- {said}: {verdict(group)}" for said, group in of.items())


def page(found: Found) -> str:
    """The page."""
    whole = suite(found)
    return (
        (HERE / "page.txt")
        .read_text("utf-8")
        .format(
            splits=table()["splits"],
            fewer=table()["rest_splits"],
            headline=headline(groups(found)),
            verdicts=verdicts(groups(found)),
            again=headline(again(found)),
            verdicts_again=verdicts(again(found)),
            own=beside_the_paper(found),
            depends=depends(whole),
            means=means(whole),
            settings="\n\n".join(by_table(suite(at_ten(found)), setting) for setting in SETTINGS),
            names=rows({"tables": found["tables"]}),
            rest=rows({"tables": found["rest"]}),
            steps=steps(whole),
            epochs=epochs(whole),
            torch=found["torch"],
            hours=sum(run["seconds"] for run in runs(suite(at_ten(found))) + found["apart"]["letter-whole"]) / 3600,
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


def _p(p: float) -> str:
    return "< 0.001" if p < 0.0005 else f"{p:.3f}"


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
    draw(suite(at_ten(load())), ROOT / "docs/figures/tabular-scarf.png")


if __name__ == "__main__":
    main()
