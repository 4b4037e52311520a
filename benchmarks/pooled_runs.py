"""Runs of the same weights in several evaluations of a suite, put together.

    python -m benchmarks.pooled_runs EVALUATION.jsonl ... --out docs/results/pooled.json
    python -m benchmarks.pooled_table docs/results/pooled.json docs/results.md

Each file is what ``python -m evaluate pack`` wrote, at a commit of its own: the drivers around the
weights may differ. A repeat in which the baseline missed the target counts for no one, as in the
score.
"""

from pathlib import Path

import tyro

from benchmarks.page import stamp
from evaluate.score.results import load_all
from evaluate.score.standing import comparable
from writing.files import write_json

OURS, CONSTANT = "train", "policy_free"
MEASURES = ("seconds", "steps")


def main(files: tyro.conf.Positional[tuple[Path, ...]], out: Path) -> None:
    """Gather the runs of train.py and policy_free.

    Args:
        files: packed evaluations.
        out: what matters of their runs, as JSON.
    """
    groups = [group for file in files for group in comparable(load_all(file))]
    evaluations = [part for group in groups for part in gathered(group)]
    write_json(out, {**stamp("cpu", 0), "evaluations": evaluations})


def gathered(results):
    """Of runs that may be compared: where and when, and seconds and steps by pair and repeat.

    A part for each commit that ours ran at: an evaluation may have been resumed at another.
    """
    runs = {(one.pair, one.repeat, one.role, one.submission): one for one in results}
    slots = {(one.pair, one.repeat): one for one in results if one.role == "baseline"}
    parts = {}
    for pair, repeat in sorted(slots):
        names = (("submission", OURS), ("submission", CONSTANT))
        ours, constant = (runs.get((pair, repeat, *name)) for name in names)
        if not (ours and constant):
            continue  # not run yet
        found = slots[pair, repeat], ours, constant
        part = parts.setdefault(ours.git["commit"], _part(ours))
        part["date"] = min(part["date"], ours.started_at[:10])
        if not found[0].reached:
            part["left out"] += 1
            continue
        row = {"pair": pair, "repeat": repeat, **{m: _taken(found, m) for m in MEASURES}}
        part["runs"].append(row)
    return sorted(parts.values(), key=lambda part: part["date"])


def _part(one):
    return {
        "suite": one.suite,
        "commit": one.git["commit"],
        "date": one.started_at[:10],
        "hardware": one.hardware,
        "versions": one.versions,
        "left out": 0,
        "runs": [],
    }


def _taken(found, measure):
    """By baseline, ours and constant rates; None where the target was missed."""
    return [getattr(one, measure) if one.reached else None for one in found]


if __name__ == "__main__":
    tyro.cli(main)
