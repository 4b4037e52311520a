"""Reads what the report is made of: runs that `python -m evaluate` wrote, and a policy's log."""

import json
from pathlib import Path

from evaluate.errors import InputError
from evaluate.score.results import Result, latest, load_all


class ReportError(ValueError):
    """Results that no report can be made of. The one-line message names them and the fix."""


def read_runs(path: Path) -> list[Result]:
    """Return the newest of each run in a results folder or packed file, oldest first."""
    try:
        runs = list(latest(load_all(path)).values())
    except OSError as problem:
        raise ReportError(f"{path}: {problem.strerror}; name results of evaluate") from None
    except InputError as problem:
        raise ReportError(str(problem)) from None
    if not runs:
        raise ReportError(f"{path}: holds no results; run python -m evaluate --out there")
    return runs


def policy_log(checkpoint: Path) -> list[dict]:
    """Return the meta-training log beside a policy: one dict per outer step."""
    path = Path(checkpoint).with_name("log.jsonl")
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        [(row["step"], row["ratio"], row["inner_steps"]) for row in rows]
    except OSError as problem:
        raise ReportError(
            f"{path}: {problem.strerror}; put the log that python -m metalearn wrote beside the "
            "policy"
        ) from None
    except (KeyError, RecursionError, TypeError, ValueError):
        raise ReportError(f"{path}: not a log of python -m metalearn; copy it again") from None
    if not rows:
        raise ReportError(f"{path}: is empty; copy it again")
    return rows
