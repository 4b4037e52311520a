"""Linux namespaces for a submission's process, where the system permits them.

Made by `unshare` of util-linux, without privileges. They take the network away, hide the data
(evaluate.sandbox.hide), and tie every descendant to one process, so that none outlives the run.
Where they are not permitted, Python's own calls are refused instead (evaluate.sandbox.guard).
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile

from evaluate.sandbox.hide import PROJECT

UNSHARE = (
    "unshare", "--user", "--map-root-user", "--net", "--ipc", "--pid", "--fork", "--kill-child",
    "--mount-proc", "--",
)  # fmt: skip
_TRIAL = "from evaluate.sandbox.hide import *; enter_own_root(needed(), (), None, 2**20)"


@functools.cache
def namespaces_work() -> bool:
    """Whether this system lets us make the namespaces, and a root of its own in them."""
    if shutil.which("unshare") is None:
        return False
    path = os.pathsep.join(filter(None, [PROJECT, os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="evaluate-") as folder:
        done = subprocess.run(
            [*UNSHARE, sys.executable, "-c", _TRIAL],
            capture_output=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
        )
    return done.returncode == 0


def entry() -> tuple[str, ...]:
    """The command that runs another in new namespaces; nothing where they cannot be had."""
    return UNSHARE if namespaces_work() else ()


def isolation(is_apart: bool) -> str:
    """How well submissions are kept apart, in a word: "namespaces", "process" or "none"."""
    if not is_apart:
        return "none"
    return "namespaces" if namespaces_work() else "process"
