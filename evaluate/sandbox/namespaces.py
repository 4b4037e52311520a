"""Linux namespaces for a submission's process, where the system permits them.

Made by ``unshare`` of util-linux, without privileges. They take the network away, hide the data
(evaluate.sandbox.hide), and tie every descendant to one process, so that none outlives the run.
Where they are not permitted, Python's own calls are refused instead (evaluate.sandbox.guard).
"""

import functools
import shutil
import subprocess
from pathlib import Path

from evaluate.sandbox.guard import data_folders
from evaluate.sandbox.hide import SHARED_MEMORY

UNSHARE = (
    "unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child",
    "--mount-proc", "--",
)  # fmt: skip


@functools.cache
def namespaces_work() -> bool:
    """Whether this system lets us make the namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


def entry() -> tuple[str, ...]:
    """The command that runs another in new namespaces; nothing where they cannot be had."""
    return UNSHARE if namespaces_work() else ()


def is_hidden(path: Path) -> bool:
    """Whether a submission does not see what lies there: its shared memory is one of its own."""
    hidden = [SHARED_MEMORY, *data_folders()]
    return namespaces_work() and any(map(path.resolve().is_relative_to, hidden))


def isolation(is_apart: bool) -> str:
    """How well submissions are kept apart, in a word: "namespaces", "process" or "none"."""
    if not is_apart:
        return "none"
    return "namespaces" if namespaces_work() else "process"
