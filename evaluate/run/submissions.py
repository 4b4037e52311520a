"""Find submission files, check them without running them, name them, and notice changes."""

import ast
import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from evaluate import peers
from evaluate.errors import InputError
from evaluate.sandbox.bounded import TooMuch, bounded
from evaluate.submission import Submission
from evaluate.text import clean_name

#: The peer whose time on a pair is the unit of every speed-up.
BASELINE_PATH = Path(peers.__file__).parent / "adam.py"


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
