"""Results: one self-describing JSON file per run. Files are only ever added to a folder."""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from evaluate.errors import InputError
from evaluate.outcomes import FAILURES, Outcome
from evaluate.sandbox.limits import Limit
from evaluate.submission import checked_rates
from evaluate.text import LONGEST, clean, clean_name
from evaluate.thin import rounded, thinned
from writing.files import json_text, write_json, write_text

#: Marks a file as a result and gives the version of its fields.
FORMAT = "evaluate-result-1"
#: Points of a curve in a packed file.
POINTS_PACKED = 60
#: Characters of a submission's name in a file name.
LONGEST_NAME = 100


@dataclass(frozen=True)
class Result:
    """One run of one submission on one pair. Fields: docs/evaluate.md. Times are in seconds."""

    suite: str
    pair: str
    variant: dict
    variant_digest: str
    target: float
    role: str  # "baseline", "submission" or "tuning"
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
    timed: bool = True  # whether nothing else disturbed the clock
    limit_steps: int | None = None
    given: dict = field(default_factory=dict)
    memory_bytes: int | None = None
    isolation: str = ""  # "namespaces", "process" or "none"

    @property
    def key(self) -> tuple:
        """The identity of a run. A finished run with an equal key is not repeated."""
        return run_key(
            self.suite,
            self.pair,
            self.variant_digest,
            self.role,
            self.submission_sha256,
            self.repeat,
            self.place,
        )

    @property
    def place(self) -> dict:
        """What comparable results share: the hardware, or if untimed only the kind of device."""
        return place(self.hardware, self.timed)

    @property
    def reached(self) -> bool:
        """Whether the run reached the target, with verification."""
        return self.outcome is Outcome.REACHED

    def is_final(self, limit: Limit) -> bool:
        """Return whether another run under this limit is unnecessary.

        Failures are repeated. So are timeouts if one of their limits has grown.
        """
        if self.outcome is Outcome.TIMEOUT:
            steps = math.inf if limit.steps is None else limit.steps
            is_within = self.limit_steps is None or steps <= self.limit_steps
            return is_within and limit.seconds <= self.limit_seconds
        return self.outcome not in FAILURES


def run_key(
    suite: str, pair: str, variant_digest: str, role: str, sha256: str, repeat: int, place: dict
) -> tuple:
    """Return the key (`Result.key`) of a run that has not happened yet."""
    return (suite, pair, variant_digest, role, sha256, repeat, digest(place))


def place(hardware: dict, timed: bool) -> dict:
    """Return the hardware or, for untimed runs, the part that affects the number of steps."""
    return hardware if timed else {"device": hardware["device"], "timed": False}


def digest(description: dict) -> str:
    """Return a short, stable digest of plain data."""
    text = json.dumps(description, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(folder: Path, result: Result) -> Path:
    """Save the result into the folder under a unique name. Return the path."""
    stamp = re.sub(r"\D", "", result.started_at)
    submission = result.submission[:LONGEST_NAME]
    name = f"{result.pair}.{submission}.{result.repeat}.{stamp}"
    path = folder / (re.sub(r"[^\w.+-]", "_", name) + ".json")
    write_json(path, {"format": FORMAT, **dataclasses.asdict(result)})
    return path


def load_all(path: Path) -> list[Result]:
    """Return all results of a folder, or of a file written by `pack`, oldest first.

    Raise InputError for anything that is not a result.
    """
    if path.is_file():
        texts = enumerate(path.read_bytes().splitlines(), 1)
        results = [_parse(text, f"{path}, line {number}") for number, text in texts]
    else:
        results = [_parse(file.read_bytes(), str(file)) for file in sorted(path.glob("*.json"))]
    return sorted(results, key=lambda result: result.started_at)


def pack(results: Iterable[Result], path: Path) -> None:
    """Write the results into one file, one line each, with thinned curves.

    Tuning runs are left out: the best point is in `given` of the runs that used it.
    """
    kept = [_sketch(result) for result in results if result.role != "tuning"]
    lines = [json_text({"format": FORMAT, **dataclasses.asdict(one)}) for one in kept]
    write_text(path, "".join(lines))


def _sketch(result: Result) -> Result:
    def sketch(rows: list) -> list:
        return rounded(thinned(rows, POINTS_PACKED))

    def cut(curve: dict[str, list]) -> dict[str, list]:
        return {name: sketch(column) for name, column in curve.items()}

    return dataclasses.replace(
        result,
        train_curve=cut(result.train_curve),
        test_curve=cut(result.test_curve),
        learning_rates=result.learning_rates and sketch(result.learning_rates),
    )


def latest(results: Iterable[Result]) -> dict[tuple, Result]:
    """Return the newest result of each key, oldest first. `results` must be oldest first."""
    found = {}
    for result in results:
        found.pop(result.key, None)  # a repeated run moves to its new position
        found[result.key] = result
    return found


def _parse(text: bytes, origin: str) -> Result:
    try:
        fields = json.loads(text)
        if fields.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        fields["outcome"] = Outcome(fields["outcome"])
        # Sanitise what a submission can influence: it must not break tables or plots.
        fields["submission"] = clean_name(fields["submission"])
        fields["message"] = clean(fields["message"], 10 * LONGEST)
        rates, shapes = fields["learning_rates"], fields["tensor_shapes"]
        fields["learning_rates"] = checked_rates(rates, len(shapes) or math.inf)
        result = Result(**fields)
        if "device" not in result.hardware:  # tables group by device
            raise ValueError("its hardware names no device")
        if not math.isfinite(result.seconds + result.steps + result.limit_seconds):
            raise ValueError("its time is not finite")
        return result
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise InputError(f"{origin}: not a result ({reason}); move it out of the results") from None
