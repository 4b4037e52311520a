"""Linux namespaces for a submission's process, if the system permits them.

util-linux's `unshare` creates them without privileges. They remove the network, hide the data
(evaluate.sandbox.hide), and tie all descendants to one process, so that none outlives the run.
Without namespaces, Python's own calls are refused instead (evaluate.sandbox.guard).
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
    """Return whether this system permits the namespaces, with a separate root in them."""
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
    """Return the command prefix that runs a command in new namespaces; empty if not permitted."""
    return UNSHARE if namespaces_work() else ()


def isolation(is_apart: bool) -> str:
    """Return the level of isolation of submissions: "namespaces", "process" or "none"."""
    if not is_apart:
        return "none"
    return "namespaces" if namespaces_work() else "process"
