"""Results: one self-describing JSON file per run, in a folder that is only ever added to."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evaluate.errors import InputError
from evaluate.files import write_json
from evaluate.outcomes import FAILURES, Outcome

#: Marks a file as a result, and the version of its fields.
FORMAT = "evaluate-result-1"


@dataclass(frozen=True)
class Result:
    """One run of one submission on one pair. Fields in docs/evaluate.md; times in seconds."""

    suite: str
    pair: str
    variant: dict
    variant_digest: str
    target: float
    role: str  # "baseline" or "submission"
    submission: str
    submission_path: str
    submission_sha256: str
    repeat: int
    seed: int
    outcome: Outcome
    message: str
    limit_seconds: float
    seconds: float
    steps: int
    calls: dict[str, int]
    test_seconds: float
    verified_test_losses: list[float]
    train_curve: dict[str, list]
    test_curve: dict[str, list]
    learning_rates: list[list] | None
    tensor_shapes: list[list[int]]
    hardware: dict
    versions: dict
    git: dict
    command: list[str]
    started_at: str  # ISO 8601, UTC

    @property
    def key(self) -> tuple:
        """What makes a run the same run: a finished one with this key is not repeated."""
        return run_key(
            self.suite,
            self.pair,
            self.variant_digest,
            self.role,
            self.submission_sha256,
            self.repeat,
            self.hardware,
        )

    @property
    def reached(self) -> bool:
        """Whether the target was reached, and verified."""
        return self.outcome is Outcome.REACHED

    def is_final(self, limit_seconds: float) -> bool:
        """Whether running again under this limit could not tell more.

        Failures are repeated, and so is a timeout once the limit has grown.
        """
        if self.outcome is Outcome.TIMEOUT:
            return limit_seconds <= self.limit_seconds
        return self.outcome not in FAILURES


def run_key(suite, pair, variant_digest, role, sha256, repeat, hardware: dict) -> tuple:
    """The key of a run that has not happened yet; see ``Result.key``."""
    return (suite, pair, variant_digest, role, sha256, repeat, digest(hardware))


def digest(description: dict) -> str:
    """Short, stable digest of plain data."""
    text = json.dumps(description, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(folder: Path, result: Result) -> Path:
    """Add the result to the folder under a name of its own; returns the path."""
    stamp = re.sub(r"\D", "", result.started_at)
    name = f"{result.pair}.{result.submission}.{result.repeat}.{stamp}"
    path = folder / (re.sub(r"[^\w.+-]", "_", name) + ".json")
    write_json(path, {"format": FORMAT, **dataclasses.asdict(result)})
    return path


def load_all(folder: Path) -> list[Result]:
    """All results of a folder, oldest first. Raises InputError if a file is not a result."""
    results = [_load(path) for path in sorted(folder.glob("*.json"))]
    return sorted(results, key=lambda result: result.started_at)


def latest(results: Iterable[Result]) -> dict[tuple, Result]:
    """The newest result of each key; ``results`` oldest first."""
    return {result.key: result for result in results}


def _load(path: Path) -> Result:
    try:
        fields = json.loads(path.read_text())
        if fields.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        fields["outcome"] = Outcome(fields["outcome"])
        return Result(**fields)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise InputError(
            f"{path}: not a result file ({reason}); move it out of the results folder"
        ) from None
