"""Peers: train.py files like any other, to measure submissions against.

Each has the settings of its paper or package, and no knowledge of the pair it runs on. One thing a
peer may ask for that no submission gets: a schedule with a horizon needs one, so a peer's module
finds ``given = {"baseline_steps": n}``, the number of steps of the baseline on the same pair and
repeat.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from evaluate.errors import InputError

FOLDER = Path(__file__).resolve().parent
#: The peers, and the package that each needs beside PyTorch: those of the extra ``peers``.
PACKAGES = {
    "sgd_momentum": None,
    "adam_3e3": None,
    "adam_averaged": None,
    "nadamw": None,
    "schedule_free": "schedulefree",
    "prodigy": "prodigyopt",
    "dadapt_adam": "dadaptation",
    "dowg": None,
    "momo": "momo",
    "mechanic": "mechanic_pytorch",
    "muon": "pytorch_optimizer",
    "soap": "pytorch_optimizer",
}
MEND = "install them with: pip install 'autotrain-lr[peers]'"


def find_peers(names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Paths of the named peers, and the names of those left out as their package is missing.

    ``all`` stands for every peer that can run here. Raises InputError for an unknown name, and for
    a peer asked for by name that cannot run.
    """
    for name in names:
        if name != "all" and name not in PACKAGES:
            known = ", ".join(["all", *PACKAGES])
            raise InputError(f"--peers {name}: no such peer; name some of {known}")
        if name != "all" and not is_installed(name):
            raise InputError(f"--peers {name}: package {PACKAGES[name]} is missing; {MEND}")
    wanted = [name for name in PACKAGES if name in names or "all" in names]
    found = [path_of(name) for name in wanted if is_installed(name)]
    return found, [name for name in wanted if not is_installed(name)]


def path_of(name: str) -> Path:
    """The peer's train.py."""
    return FOLDER / f"{name}.py"


def is_installed(name: str) -> bool:
    """Whether what the peer imports is there."""
    package = PACKAGES[name]
    return package is None or importlib.util.find_spec(package) is not None
