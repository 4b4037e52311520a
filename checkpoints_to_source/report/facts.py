"""Every number of the report, from result files, the policy's file and the policy's source."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from checkpoints_to_source.report.measured import measured
from checkpoints_to_source.report.results import ReportError, policy_log, read_runs
from evaluate.score.results import Result
from evaluate.show.board import contents
from metalearn.episodes import HARD_SHARE, LIMIT
from policy.checkpoint import Policy, digest, read_metadata
from policy.driver.batch_size import LARGEST_FACTOR
from policy.driver.judge import FARTHEST, IN_A_ROW, RISEN
from policy.driver.learner import BLOCK
from policy.driver.rescue import CALM, RESTART_RATES
from policy.driver.schedule import ERROR, GUESS, LEAST_ERROR, TRUST
from policy.rule.controller import MAX_LOG, RISE
from policy.rule.signal import RESTRAINTS
from policy.rule.spec import GLOBAL_FEATURES, TENSOR_FEATURES
from policy.rule.units import REFERENCE, REFERENCE_FAN
from policy.rule.update import AVERAGING, DECAY
from tasks import TRAINING_FAMILIES

SETTINGS = (
    "families groups variants pairs sigma truncation steps shortest longest device clip rate "
    "warmup renew_every linear"
).split()
#: Settings that older runs lack, with what these did.
SINCE = {"guidance": 0.0, "meta_loss": "time", "estimator": "pes", "noise": 0.0, "trust": 0.0}


def gather(
    team: str,
    members: Sequence[str],
    learned: Policy,
    checkpoint: Path,
    train_sha256: str,
    paths: Sequence[Path],
    benchmarks: Path,
) -> tuple[dict, list[Result]]:
    """Return the facts (plain data, for JSON) and the runs of the first evaluation, oldest first.

    Args:
        learned: the policy in the file `checkpoint`.
        train_sha256: of the train.py that the report is about; each evaluation must have run it.
        paths: evaluations, as results folders or packed files.
        benchmarks: a folder with result files of benchmarks.

    Raises ReportError.
    """
    evaluations = [_evaluation(path, train_sha256) for path in paths]
    facts = {
        "team": team,
        "members": list(members),
        "policy": _policy(learned),
        "settings": _settings(checkpoint),
        "log": _log(checkpoint),
        "evaluations": [one for one, _ in evaluations],
        "measured": measured(benchmarks, digest(learned)),
    }
    return facts, evaluations[0][1]


def _policy(learned):
    return {
        **learned.spec._asdict(),
        "weights": sum(weight.numel() for weight in learned.weights.values()),
        "tensor_features": TENSOR_FEATURES,
        "global_features": GLOBAL_FEATURES,
        "decay": DECAY,
        "averaging": int(AVERAGING),
        "rise": round(math.exp(RISE), 2),
        "max_log": int(MAX_LOG),
        "restraints": [list(row) for row in RESTRAINTS],
        "reference_fan": int(REFERENCE_FAN),
        "reference_scale": REFERENCE,
        "farthest": int(FARTHEST),
        "calm": CALM,
        "restart_rates": list(RESTART_RATES),
        "risen": RISEN,
        "risen_tests": IN_A_ROW,
        "largest_factor": LARGEST_FACTOR,
        "block": BLOCK,
        "trust": TRUST,
        "guess": GUESS,
        "least_error": LEAST_ERROR,
        "error": ERROR,
    }


def _settings(checkpoint):
    metadata = read_metadata(checkpoint)
    try:
        config = SINCE | dict(json.loads(metadata["config"]))
        settings = {name: config[name] for name in (*SETTINGS, *SINCE)}
        taught = hindsight(metadata)
    except (KeyError, RecursionError, TypeError, ValueError) as problem:
        raise ReportError(
            f"{checkpoint}: lacks settings of its meta-training ({problem!r}); use a policy that "
            "python -m metalearn wrote"
        ) from None
    limit = "Adam's own time" if LIMIT == 1 else f"{LIMIT:g} times Adam's time"
    return {**settings, "hindsight": taught, "limit": limit, "hard": round(1 / HARD_SHARE)}


def hindsight(metadata: Mapping[str, str]) -> dict | None:
    """Return what a policy's metadata say of `metalearn.hindsight`; None if it was not used."""
    if "hindsight" not in metadata:
        return None
    record = json.loads(metadata["hindsight"])
    rounds = record["rounds"]  # their number, or what was done in each
    return {
        "architectures": int(record["architectures"]),
        "arms": int(record["arms"]),
        "rounds": len(rounds) if isinstance(rounds, list) else int(rounds),
        "is_blended": bool(record["begin"]),
        "families": list(dict.fromkeys(record.get("families", TRAINING_FAMILIES))),
    }


def _log(checkpoint):
    rows = policy_log(checkpoint)
    if all(row["ratio"] is None for row in rows):
        raise ReportError(f"{checkpoint}: no episode ended in its meta-training; train longer")
    return {"inner_steps": sum(row["inner_steps"] for row in rows)}


def _evaluation(path, train_sha256):
    runs = read_runs(path)
    ours = [run for run in runs if run.submission_sha256 == train_sha256]
    if not ours:
        raise ReportError(
            f"{path}: no run of this policy's train.py (sha256 {train_sha256[:12]}); export it, "
            "then run python -m evaluate train.py --out there"
        )
    tables = [_table(content, ours[-1], runs) for content in contents(runs, beside=math.inf)]
    # Other suites or hardware have tables of their own, in which this train.py may be missing.
    tables = [table for table in tables if any(row["is_ours"] for row in table["methods"])]
    return {"tables": tables, "testing": _testing(ours)}, runs


def _table(table, ours, runs):
    pairs = {run.pair for run in runs}
    of_pairs = [i for i, head in enumerate(table.header) if head in pairs]
    others = [i for i in range(1, len(table.header)) if i not in of_pairs]
    name = _label(table, ours)
    methods = [
        {
            "name": row[0],
            "is_ours": row[0] == name,
            "summary": [row[column] for column in others],
            "pairs": [row[column] for column in of_pairs],
        }
        for row in table.rows
    ]
    return {
        "title": table.title,
        "caption": table.caption,
        "columns": [table.header[column] for column in others],
        "pairs": [table.header[column] for column in of_pairs],
        "methods": methods,
    }


def _label(table, ours):
    """Return the table's name of a submission, which has its digest if names collide."""
    labels = {ours.submission, f"{ours.submission} ({ours.submission_sha256[:7]})"}
    return next((row[0] for row in table.rows if row[0] in labels), None)


def _testing(ours):
    """Return how many tests the runs that reached their targets made, and their share of the time,
    None if no run was timed."""
    reached = [run for run in ours if run.reached]
    timed = [run for run in reached if run.timed]
    seconds = sum(run.seconds for run in timed)
    return {
        "runs": len(ours),
        "reached": len(reached),
        "tests": sum(run.calls.get("test", 0) for run in reached),
        "share": sum(run.test_seconds for run in timed) / seconds if seconds else None,
    }
