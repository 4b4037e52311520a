"""Ctrl-C ends each command and its child processes, with one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def start(*arguments, importtime=False):
    flags = ["-X", "importtime"] if importtime else []
    return subprocess.Popen(
        [sys.executable, *flags, "-m", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Shells let background jobs ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def told_after_ctrl_c(process):
    """Return stderr after Ctrl-C, read until no process is left that could write to it."""
    os.killpg(process.pid, signal.SIGINT)  # like a terminal
    return process.communicate(timeout=30)[1]


@pytest.mark.parametrize(
    "module", ["metalearn", "metalearn.hindsight", "checkpoints_to_source", "evaluate", "tasks"]
)
def test_ctrl_c_during_imports(module):
    process = start(module, importtime=True)
    for line in process.stderr:
        if "torch." in line:
            break
    told = told_after_ctrl_c(process)
    lines = [line for line in told.splitlines() if not line.startswith("import time:")]
    assert lines == ["error: interrupted"]


@pytest.mark.timeout(300)
def test_ctrl_c_in_meta_training(tmp_path):
    process = start("metalearn", "--out", tmp_path / "run", "--families", "mlp")
    _wait_for(tmp_path / "run" / ".lock", process)
    time.sleep(1.0)
    assert told_after_ctrl_c(process).splitlines()[-1:] == ["error: interrupted"]


def _wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
