"""Find submission files, check them without running them, name them, and load them."""

import ast
import hashlib
import importlib.util
import math
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from evaluate.errors import InputError
from evaluate.sandbox.bounded import TooMuch, bounded
from evaluate.text import LONGEST, clean, clean_name
from evaluate.thin import thinned

#: Rows of learning rates to keep, evenly spaced over the run.
RATES_KEPT = 200
#: Larger steps and rates are not plotted: no real training has them.
_LAST_STEP, _LARGEST_RATE = 2**53, 1e30
#: The peer whose time on a pair is the unit of every speed-up.
BASELINE_PATH = Path(__file__).parent / "peers" / "adam.py"


@dataclass(frozen=True)
class Submission:
    """A train.py: its path, its name in tables, and the digest of its content.

    Peers may be `given` information about the task; submissions get none (evaluate.peers).
    """

    path: Path
    name: str
    sha256: str
    is_peer: bool = False
    given: dict = field(default_factory=dict, compare=False)


def find_submissions(paths: Sequence[Path]) -> list[Submission]:
    """Check each file. Name it by its stem, or by folder and stem if stems collide.

    Files with equal content are merged. Raise InputError if a file is missing, is not Python, or
    defines no `train`.
    """
    by_content = {_checked_digest(path): path for path in reversed(paths)}
    stems = Counter(path.stem for path in by_content.values())
    return [
        Submission(path, _name(path, stems[path.stem] > 1), digest)
        for digest, path in reversed(by_content.items())
    ]


def baseline() -> Submission:
    """Return the baseline, Adam with learning rate 1e-3."""
    return Submission(BASELINE_PATH, "adam", _digest(BASELINE_PATH.read_bytes()))


def demand_unchanged(submission: Submission) -> None:
    """Raise InputError if the file has changed since it was found: results store its digest.

    Peers are part of this package, so they are not checked.
    """
    if submission.is_peer:
        return
    try:
        digest = _digest(submission.path.read_bytes())
    except OSError:
        digest = None
    if digest != submission.sha256:
        raise InputError(
            f"{submission.path}: has changed since the evaluation began; run the same command again"
        )


def load(path: Path) -> Any:
    """Run the file as a module and return the module. Its exceptions pass through."""
    spec = importlib.util.spec_from_file_location("submission", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["submission"] = module  # dataclasses look for their module there
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


def learning_rates(module: ModuleType | None, tensors: float = math.inf) -> list[list] | None:
    """Return the submission's optional list `learning_rates`, as `checked_rates` does."""
    return checked_rates(getattr(module, "learning_rates", None), tensors)


def checked_rates(found: Any, tensors: float) -> list[list] | None:
    """Return at most `RATES_KEPT` rows of numbers, `[[step, [rate of each tensor]], ...]`.

    Return None if the list is missing, empty or malformed, or has more rates than tensors. The
    list is optional, so none of this is an error.
    """
    try:
        kept = thinned(list(found), RATES_KEPT)
        rows: list[list] = [[_step(step), [_rate(rate) for rate in rates]] for step, rates in kept]
    except Exception:
        return None
    widths = {len(rates) for _, rates in rows}
    return rows if len(widths) == 1 and 0 < max(widths) <= tensors else None


def _step(value: Any) -> int:
    if not 0 <= value <= _LAST_STEP:
        raise ValueError("not a step")
    return int(value)


def _rate(value: Any) -> float:
    """Return the rate to four digits; NaN for null or an absurd value."""
    rate = math.nan if value is None else float(value)
    return float(f"{rate:.4g}") if abs(rate) <= _LARGEST_RATE else math.nan


def is_out_of_memory(problem: BaseException) -> bool:
    """Return whether the exception is a failed allocation, on the accelerator or the host."""
    if isinstance(problem, MemoryError | torch.OutOfMemoryError):
        return True
    # PyTorch's host allocator raises a plain RuntimeError.
    return isinstance(problem, RuntimeError) and "can't allocate memory" in _text(problem)


def describe(problem: BaseException) -> str:
    """Return one line with the exception and where it was raised.

    The line has at most `2 * LONGEST` characters, the exception's own text at most `LONGEST`.
    """
    frames = traceback.extract_tb(problem.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return clean(f"{type(problem).__name__}: {clean(_text(problem))}{place}", 2 * LONGEST)


def _text(problem: BaseException) -> str:
    try:
        return str(problem)
    except Exception:  # a submission's own class may do anything
        return "says nothing"


def _fault(source: bytes, filename: str) -> str | None:
    """Return what is wrong with a file and how to mend it, or None."""
    try:
        with warnings.catch_warnings(action="ignore"):  # warnings quote lines of the file
            tree = ast.parse(source, filename)
    except (SyntaxError, ValueError) as problem:
        return f"not Python ({problem}); give the path of a train.py"
    except (RecursionError, MemoryError):
        return "is nested too deeply or too long; break up its longest expression"
    return None if "train" in _names_bound(tree) else "defines no train; add a function train(task)"


def _checked_digest(path: Path) -> str:
    try:
        source = path.read_bytes()
    except OSError as problem:
        raise InputError(
            f"{path}: {problem.strerror}; give the path of a train.py that can be read"
        ) from None
    try:
        wrong = bounded(_fault, source, str(path))
    except TooMuch:
        wrong = "is too long to be read; make it shorter"
    if wrong:
        raise InputError(f"{path}: {wrong}")
    return _digest(source)


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()


def _names_bound(tree: ast.Module) -> set[str]:
    """Return the names that the module may bind at its top level, including nested names."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _name(path: Path, stem_collides: bool) -> str:
    return clean_name(f"{path.resolve().parent.name}/{path.stem}" if stem_collides else path.stem)
