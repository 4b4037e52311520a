"""The README's table and picture of fixed budgets: LearnedLR beside tuned optimizers.

Both show the result of `python -m benchmarks run practice`.
"""

import numpy as np
from matplotlib.figure import Figure

from benchmarks.practice import RESULT
from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import OPTIMIZERS
from benchmarks.practice.tables import OURS, at_scale, counted, entries, summary
from evaluate.show.plots.style import BASELINE_COLOUR, COLOURS, legend, panels, plain_ticks
from writing.markdown import prose

NAME, PAGE = "fixed_budgets", "README.md"
SHOWN = {OURS: COLOURS[0], "muon": COLOURS[1], "soap": COLOURS[2], "adamw": BASELINE_COLOUR}

__all__ = ["NAME", "PAGE", "RESULT", "figure", "table"]


def table(result: dict) -> str:
    """Return one row per peer, showing on how many networks LearnedLR wins, and the origin."""
    # Wider networks, and runs that are told their length, are in the details.
    rows = [r for r in result["rows"] if r["width"] == 1 and r["optimizer"] != "annealed"]
    cases = entries(rows)
    ahead = [_ahead(at_scale(cases), name) for name in ("adamw", "muon")]
    sentence = f"LearnedLR's final loss is below that of {' and '.join(ahead)} networks."
    note = f"{counted(rows)} [Details](docs/results.md#fixed-budgets)."
    return "\n\n".join([prose(sentence), summary(cases), prose(note)])


def _ahead(usual, name):
    mine = [found[name] for found in usual.values() if name in found]
    count = sum(entry.loss_ratios.mean() < 0 for entry in mine)
    return f"{OPTIMIZERS[name].name} on {count} of {len(mine)}"


def figure(result: dict) -> Figure:
    """Return losses against time, one panel per network; AdamW's whole run takes time 1."""
    usual = at_scale(entries(result["rows"]))
    drawn, axes = panels(len(usual), height=2.6)
    lines = {}
    for panel, (network, found) in zip(axes, usual.items(), strict=True):
        for name in [name for name in SHOWN if name in found]:
            lines[OPTIMIZERS[name].name] = _draw(panel, found[name], SHOWN[name])
        end = np.mean([run["curve"]["loss"][-1] for run in found["adamw"].runs.values()])
        panel.axhline(end, color=BASELINE_COLOUR, lw=0.8, ls=":")
        panel.set_yscale("log")
        panel.set_xlim(0, None)
        plain_ticks(panel)
        panel.set(title=NETWORKS[network].name, xlabel="time, of AdamW's run", ylabel="test loss")
    legend(drawn, lines)
    return drawn


def _draw(panel, entry, colour):
    """Draw the mean over seeds, without the first test, at which losses still differ widely."""
    runs = [run["curve"] for run in entry.runs.values()]
    steps = np.array(runs[0]["step"]) / runs[0]["step"][-1]
    losses = np.mean([np.array(run["loss"], dtype=float) for run in runs], 0)
    return panel.plot(steps[1:] * entry.step, losses[1:], color=colour, marker="o", ms=3)[0]
