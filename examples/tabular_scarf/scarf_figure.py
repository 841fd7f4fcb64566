"""The figure of docs/tabular-scarf.md."""

from __future__ import annotations

import statistics
from pathlib import Path

from gains import SETTINGS, Found, differences, gains


def draw(found: Found, path: Path) -> None:
    """Gains of each table over scratch: a dot a split, a bar for their mean, a panel a setting."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    by_name = zip(*(gains(found, setting) for setting in SETTINGS), strict=True)
    order = dict(zip(found["tables"], map(statistics.mean, by_name), strict=True))
    names = sorted(order, key=order.__getitem__)
    fig, panels = plt.subplots(1, len(SETTINGS), figsize=(11, 0.22 * len(names) + 1.6), sharey=True, sharex=True)
    for panel, (setting, shown) in zip(panels, SETTINGS.items(), strict=True):
        for y, name in enumerate(names):
            of = differences(found, name, setting)
            mean = statistics.mean(of)
            colour = "#1b7837" if mean > 0 else "#b2182b"
            panel.plot(of, [y] * len(of), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
            panel.plot([mean, mean], [y - 0.32, y + 0.32], color=colour, linewidth=2.5)
        overall = statistics.mean(gains(found, setting))
        panel.axvline(0, color="black", linewidth=0.8)
        panel.axvline(overall, color="#2166ac", linewidth=1.2, linestyle="--")
        panel.set_title(f"{shown}: {overall:+.2f}", fontsize=10)
        panel.grid(axis="x", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].set_ylim(-1, len(names))
    panels[1].set_xlabel(
        "test accuracy of SCARF less that of the same network from scratch, percentage points; a dot a split, a bar their mean"
    )
    fig.tight_layout()
    fig.savefig(path, dpi=110)
    plt.close(fig)
