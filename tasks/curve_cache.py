"""Cache baseline curves on disk, each under a digest of everything it depends on.

There is one file per batched task, so an interrupted preparation of many groups resumes. The files
are in the folder `curves` of $AUTOTRAIN_LR_CACHE, by default the user's cache for autotrain-lr.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from tasks.baseline import Curves, adam_curves
from tasks.batched import BatchedTask
from tasks.locks import locked
from writing.files import write_atomically


def cached_curves(
    task: BatchedTask, steps: Sequence[int], seed: int, record: Callable | None = None
) -> Curves:
    """Return `adam_curves`, from the cache if possible. Of several processes, one computes them.

    A damaged entry is recomputed, with a warning. So are all curves if the folder is unusable.
    """
    path = cache_folder() / f"{_key(task, steps, seed)}.safetensors"
    curves = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            curves = _read(path)
            if curves is None:
                curves = adam_curves(task, steps, seed, record)
                tensors = {name: tensor.cpu() for name, tensor in curves._asdict().items()}
                write_atomically(path, save(tensors))
    except OSError as error:
        _warn(f"cannot keep baseline curves ({error}): set AUTOTRAIN_LR_CACHE to another folder")
        curves = curves or adam_curves(task, steps, seed, record)
    return Curves(*(tensor.to(task.device) for tensor in curves))


def cache_folder() -> Path:
    """Return the folder of the curves."""
    if own := os.environ.get("AUTOTRAIN_LR_CACHE"):
        return Path(own) / "curves"
    users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(users) / "autotrain-lr" / "curves"


def _key(task: BatchedTask, steps: Sequence[int], seed: int) -> str:
    """Return the digest of variants, their data and weights, the run, our code and torch's version.

    The data themselves are hashed, since some come with Python and differ between its versions.
    """
    digest = hashlib.sha256()
    settings = {
        "variants": [variant.digest for variant in task.variants],
        "steps": list(steps),
        "seed": seed,
        "device": _device_name(task.device),
        "torch": torch.__version__,
        "code": _code(),
    }
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for tensor in task.tensors():
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@lru_cache(maxsize=1)
def _code() -> str:
    """Return the digest of this package's sources. Nearly all of them affect a curve."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> Curves | None:
    """Return the cached curves, or None if the file is missing or damaged."""
    if not path.exists():
        return None
    try:
        return Curves(**load_file(path))
    except SafetensorError:
        _warn(f"{path} is damaged: its curves are computed anew")
        return None


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=3)
