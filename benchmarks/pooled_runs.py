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
from evaluate.files import write_json
from evaluate.results import load_all

OURS, CONSTANT = "train", "policy_free"
MEASURES = ("seconds", "steps")


def main(files: tyro.conf.Positional[tuple[Path, ...]], out: Path) -> None:
    """Gather the runs of train.py and policy_free.

    Args:
        files: packed evaluations.
        out: what matters of their runs, as JSON.
    """
    evaluations = [gathered(part) for file in files for part in _by_commit(load_all(file))]
    write_json(out, {**stamp("cpu", 0), "evaluations": evaluations})


def _by_commit(results):
    """The results of each commit, oldest first: an evaluation may have been resumed at another."""
    parts = {}
    for one in results:
        parts.setdefault(one.git["commit"], []).append(one)
    return parts.values()


def gathered(results):
    """Of one evaluation: where and when, and seconds and steps of each run by pair and repeat."""
    runs = {(one.pair, one.repeat, one.submission): one for one in results}
    slots = sorted({(one.pair, one.repeat) for one in results if one.role == "baseline"})
    base = next(one.submission for one in results if one.role == "baseline")
    rows = []
    for pair, repeat in slots:
        found = [runs.get((pair, repeat, name)) for name in (base, OURS, CONSTANT)]
        if all(found) and found[0].reached:
            rows.append({"pair": pair, "repeat": repeat, **{m: _taken(found, m) for m in MEASURES}})
    first = results[0]
    return {
        "suite": first.suite,
        "commit": first.git["commit"],
        "date": first.started_at[:10],
        "hardware": first.hardware,
        "versions": first.versions,
        "left out": len(slots) - len(rows),
        "runs": rows,
    }


def _taken(found, measure):
    """By baseline, ours and constant rates; None where the target was missed."""
    return [getattr(one, measure) if one.reached else None for one in found]


if __name__ == "__main__":
    tyro.cli(main)
