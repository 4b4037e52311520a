"""A submission: its file and name, its module, its optional learning rates, its exceptions."""

import importlib.util
import math
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from evaluate.text import LONGEST, clean
from evaluate.thin import thinned

#: Rows of learning rates to keep, evenly spaced over the run.
RATES_KEPT = 200
#: Larger steps and rates are not plotted: no real training has them.
_LAST_STEP, _LARGEST_RATE = 2**53, 1e30


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
