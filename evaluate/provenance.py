"""Provenance of results: hardware, versions, and the state of the repository."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch


def hardware(device: str, threads: int) -> dict:
    """Return what a run's time depends on besides the code. Compare results only if it is equal."""
    on_gpu = torch.device(device).type == "cuda"
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": torch.cuda.get_device_name(device) if on_gpu else None,
        "device": torch.device(device).type,
        "threads": threads,
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that compute."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda or "",
    }


def git() -> dict:
    """Return the commit of this code's repository, and whether tracked files differ from it."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changed is None else changed != ""}


def short_commit(told: dict, digits: int) -> str:
    """Return the result of `git` as text for a table."""
    return (told["commit"] or "unknown")[:digits] + (" with changes" if told["dirty"] else "")


def portable(path: str) -> str:
    """Return a path that reveals nothing about this machine's folders.

    An absolute path becomes relative to the working folder. Outside of it, only the name remains.
    """
    if not os.path.isabs(path):
        return path
    relative = os.path.relpath(path)
    return os.path.basename(path) if relative.startswith(os.pardir) else relative


def portable_command(command: Sequence[str]) -> list[str]:
    """Return the command line with all paths made portable, also in `--option=path`."""
    parts = [argument.rpartition("=") for argument in command]
    return [option + equals + portable(value) for option, equals, value in parts]


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None  # no git, or an installed copy outside a repository
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
