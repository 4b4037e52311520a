"""A lock file excludes others for as long as its holder lives."""

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.locks import locked

HOLDER = """
import sys, time
from pathlib import Path
from tasks.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    """Return a process that holds the file `lock`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_held_lock_is_refused_until_its_holder_dies(holder, tmp_path):
    began = time.monotonic()
    with pytest.raises(BlockingIOError), locked(tmp_path / "lock", patience=0.3):
        pass
    assert time.monotonic() - began >= 0.3
    holder.kill()
    with locked(tmp_path / "lock", patience=20):
        pass


def test_lock_is_free_after_the_block_and_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), locked(tmp_path / "lock", patience=0):
            raise KeyError


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_lets_all_in(tmp_path, monkeypatch, code):
    """Otherwise nothing would run on network file systems without locks."""
    asked, entered = [], []

    def flock(file, *_):
        asked.append(file)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path / "lock", patience=0), locked(tmp_path / "lock", patience=0):
        entered.append(len(asked))
    assert entered == [2]


def test_other_errors_are_reported(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="broken"), locked(tmp_path / "lock"):
        pass
    with pytest.raises(FileNotFoundError), locked(tmp_path / "nowhere" / "lock"):
        pass
