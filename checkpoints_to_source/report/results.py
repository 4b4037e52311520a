"""Reads what `python -m evaluate` wrote: its result files, and its table of scores.

Scores are evaluate's own; nothing is scored here a second time.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

FORMAT = "evaluate-result-"
USED: tuple[str, ...] = (
    "suite",
    "pair",
    "role",
    "submission",
    "submission_sha256",
    "outcome",
    "seconds",
    "steps",
)
USED += ("repeat", "target", "calls", "test_seconds", "test_curve", "learning_rates", "started_at")


class ReportError(ValueError):
    """Results that no report can be made of. The one-line message names them and the mend."""


class Table(NamedTuple):
    """A table of scores as `python -m evaluate table` prints it, the baseline's row first."""

    title: str
    caption: str
    header: list
    rows: list


def read_runs(path: Path) -> list[dict]:
    """The runs (dicts, fields in docs/evaluate.md) of a results folder or packed file, oldest
    first. Of a run that was made anew the newest counts."""
    try:
        if path.is_file():
            texts = path.read_text(encoding="utf-8").splitlines()
        else:
            texts = [file.read_text(encoding="utf-8") for file in sorted(path.glob("*.json"))]
        runs = [json.loads(text) for text in texts]
    except OSError as problem:
        raise ReportError(f"{path}: {problem.strerror}; name results of evaluate") from None
    except (ValueError, RecursionError):
        raise ReportError(f"{path}: holds something else than results; move it out") from None
    for run in runs:
        if not str(_get(run, "format")).startswith(FORMAT) or any(key not in run for key in USED):
            raise ReportError(f"{path}: holds something else than results; move it out")
    if not runs:
        raise ReportError(f"{path}: holds no results; run python -m evaluate --out there")
    newest = {_key(run): run for run in sorted(runs, key=lambda run: run["started_at"])}
    return sorted(newest.values(), key=lambda run: run["started_at"])


def _key(run):
    """What makes a run the same run."""
    named = [run[name] for name in ("suite", "pair", "role", "submission_sha256", "repeat")]
    is_timed, hardware = run.get("timed", True), run.get("hardware") or {}
    place = hardware if is_timed else hardware.get("device")
    return json.dumps([named, run.get("variant_digest"), is_timed, place], sort_keys=True)


def read_tables(path: Path) -> list["Table"]:
    """The tables of scores of a results folder or packed file."""
    command = [sys.executable, "-m", "evaluate", "table", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ReportError(f"{path}: python -m evaluate table fails: {reason}")
    tables = parse_tables(done.stdout)
    if not tables:
        raise ReportError(f"{path}: python -m evaluate table prints no table; check the results")
    return tables


def parse_tables(text: str) -> list["Table"]:
    """The tables in Markdown: a bold title, the table, a caption.

    Columns that are folded below, in time and in steps, are put back beside.
    """
    tables = []
    for block in re.split(r"^\*\*", text, flags=re.MULTILINE)[1:]:
        title, _, rest = block.partition("**\n")
        shown, *folded = rest.split("<details>")
        lines = [line for line in shown.splitlines() if line.strip()]
        caption = " ".join(line for line in lines if not line.startswith("|"))
        header, *rows = (
            row + [_joined(cells) for cells in zip(*(more[1:] for more in below), strict=True)]
            for row, *below in zip(_grid(shown), *map(_grid, folded), strict=True)
        )
        tables.append(Table(title, caption, header, rows))
    return tables


def policy_log(checkpoint: Path) -> list[dict]:
    """The meta-training log beside a policy: one dict per outer step."""
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


def _grid(text):
    """The header and the rows of the table in a text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [_cells(line) for line in lines[:1] + lines[2:]]


def _joined(cells):
    """A cell of each measure as one: 1.20 (2/3) and 1.30 (2/3) as 1.20 / 1.30 (2/3).

    A word, of a pair or of how its runs ended, stands in all alike.
    """
    if not re.match(r"[\d.,e+]+( |$)", cells[0]):
        return cells[0]
    return " / ".join([*(cell.partition(" (")[0] for cell in cells[:-1]), cells[-1]])


def _cells(line):
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _get(run, key):
    return run.get(key) if isinstance(run, dict) else None
