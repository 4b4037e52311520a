"""A worker ends with the evaluation that started it, and a submission with its worker."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from evaluate.sandbox import confine
from evaluate.sandbox.processes import kill_all_below, processes_below

CODE = "from evaluate.sandbox.confine import die_with_parent; die_with_parent({}); print('lives')"


@pytest.mark.parametrize("is_other, printed", [(0, "lives\n"), (1, "")])
def test_process_ends_if_its_parent_is_already_gone(is_other, printed):
    command = [sys.executable, "-c", CODE.format(os.getpid() + is_other)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == printed
    assert (done.returncode == 0) == bool(printed)


def test_descendants_are_found_and_killed():
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    last = "import time; print('here', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", nested, last], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"here\n"
    assert len(processes_below(process.pid, 9)) == 1
    kill_all_below(process.pid)
    process.communicate()
    assert processes_below(process.pid, 9) == []


@pytest.mark.parametrize(
    "release, written",
    [("6.1.0-18-amd64", ""), ("5.15.0", ""), ("6.13.9", ""), ("6.14.0", "320"), ("7.0-rc1", "320")],
)
def test_process_limit_of_the_machine_is_unchanged(release, written, monkeypatch, tmp_path):
    """Before Linux 6.14, root in a namespace would set the limit for the whole machine."""
    limit = tmp_path / "pid_max"
    limit.touch()
    monkeypatch.setattr(confine, "_PID_MAX", limit)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    confine.limit_this_namespace()
    assert limit.read_text() == written
