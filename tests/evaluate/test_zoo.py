"""Submissions that cheat, crash, hang or exhaust memory are survived and reported correctly."""

import contextlib
import importlib
import os
import shutil
import subprocess
import time
from threading import Event

import pytest
from zoo import DIGITS, TOPICS, needs_namespaces

from evaluate.outcomes import Outcome
from evaluate.run import serving
from evaluate.run.process import run_in_process
from evaluate.sandbox import namespaces
from evaluate.sandbox.guard import OpenedFiles
from evaluate.sandbox.processes import MOST_PROCESSES

CHEATS = {
    "a Done of its own": (
        """
        class Done(Exception):
            pass

        def train(task):
            raise Done
        """,
        "Done was not raised by the oracle",
    ),
    "a patched test": (
        """
        from evaluate.run import remote

        def test(self, state=None):
            raise remote.Done

        def train(task):
            remote.RemoteTask.test = test
            task.test(task.state)
        """,
        "Done was not raised by the oracle",
    ),
    "another model": (
        "def train(task):\n    task._model = None\n",
        "the submission changed _model",
    ),
    "another target": (
        "def train(task):\n    task.target_test_loss = 99.0\n    task.test(task.state)\n",
        "the submission changed target_test_loss",
    ),
    "the test data from the file": (
        """
        import numpy as np

        def train(task):
            np.loadtxt("DIGITS", delimiter=",")
        """.replace("DIGITS", str(DIGITS)),
        f"the submission reads the data file {DIGITS.name}",
    ),
    "the test data from the module": (
        "import tasks\n\ndef train(task):\n    pass\n",
        "the submission imports tasks",
    ),
    "the test data from the module's file": (
        f"def train(task):\n    open({str(TOPICS)!r})\n",
        f"the submission reads the data file {TOPICS.name}",
    ),
    "reading beforehand": (
        f"open({str(DIGITS)!r}, 'rb')\n\ndef train(task):\n    pass\n",
        f"the submission reads the data file {DIGITS.name}",
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_are_caught(verdict, name):
    body, message = CHEATS[name]
    report = verdict(body)
    assert (report["outcome"], report["message"]) == (Outcome.CHEATED, message)


def test_clock_cannot_be_forged(verdict):
    report = verdict(
        """
        import time
        time.perf_counter = time.monotonic = time.time = lambda: 0.0

        def train(task):
            time.sleep(0.6)
            descend(task)
        """
    )
    assert report["outcome"] == Outcome.REACHED and report["seconds"] > 0.6


def test_work_before_the_clock_starts_has_no_task(verdict):
    report = verdict(
        """
        import gc

        def tasks_found():
            return [thing for thing in gc.get_objects() if hasattr(type(thing), "batch_loss")]

        before = len(tasks_found())

        def train(task):
            raise RuntimeError(f"{before} before, {len(tasks_found())} now")
        """
    )
    assert report["message"].startswith("RuntimeError: 0 before, 1 now")


FAILURES = {
    "raises": ("raise KeyError('moment')", "error", "KeyError: 'moment' (train.py:"),
    "exits": ("os._exit(3)", "error", "the process ended with code 3"),
    "crashes": ("ctypes.string_at(0)", "error", "the process ended with code 139"),
    "sends too much": ("babble(LARGE); time.sleep(9)", "error", "hung up, or sent too much"),
    "babbles": ("babble(HELLO); time.sleep(9)", "error", "sent a message that is none"),
    "hangs": ("time.sleep(99)", "timeout", ""),
    "swallows the limit": ("hold_on(task)", "timeout", ""),
    "gorges": ("bytearray(4 * 2**30)", "out-of-memory", "MemoryError"),
    "gorges in torch": ("torch.ones(2**30)", "out-of-memory", "RuntimeError"),
    "writes without end": ("open('x', 'wb').truncate(2**31)", "error", "OSError: [Errno 27] File"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_failures_are_named(verdict, name):
    line, outcome, message = FAILURES[name]
    body = """
        import ctypes, os, signal, time, torch

        HELLO = bytes([0, 0, 0, 5]) + b"hello"
        LARGE = bytes([255] * 4) + (2**31).to_bytes(8, "big")  # the length of what is to follow

        def babble(message):
            for name in os.listdir("/proc/self/fd"):
                try:
                    if os.readlink(f"/proc/self/fd/{name}").startswith("socket"):
                        os.write(int(name), message)
                except OSError:
                    pass

        def hold_on(task):
            while True:
                try:
                    descend(task)
                except BaseException:
                    time.sleep(0.1)

        def train(task):
            task.state[0].zero_()
            {line}
        """.replace("{line}", line)
    limits = {"limit_seconds": 0.5} if outcome == "timeout" else {}
    if name == "swallows the limit":
        limits["limit_steps"] = 3
    report = verdict(body, **limits)
    assert report["outcome"] == outcome and report["message"].startswith(message)


def test_passed_tensors_are_tested(verdict):
    report = verdict(
        """
        def train(task):
            task.test(task.state)
            task.test([2 * weight for weight in task.state])
            task.test(task.state)
            for weight in task.state:
                weight.mul_(2)
            task.test(task.state)
        """
    )
    before, passed, again, doubled = report["test_curve"]["loss"]
    assert before == again != passed == doubled


def test_released_batches_are_not_kept(verdict, monkeypatch):
    hold, kept = serving.Server._hold, []

    def noted(server, thing):
        kept.append(len(server._held))
        return hold(server, thing)

    monkeypatch.setattr(serving.Server, "_hold", noted)
    verdict("def train(task):\n    descend(task)\n")
    assert max(kept) < 6 and len(kept) > 20


# A submission learns of a limit from the answer to its pending call or to its next one.
@pytest.mark.parametrize(
    "line, limits, steps",
    [("time.sleep(1)", {"limit_seconds": 0.3}, 0), ("descend(task)", {"limit_steps": 3}, 3)],
)
def test_timeout_keeps_the_learning_rates(verdict, line, limits, steps):
    report = verdict(
        f"""
        import time
        learning_rates = [(0, [0.5])]

        def train(task):
            {line}
            descend(task)
        """,
        **limits,
    )
    assert (report["outcome"], report["steps"]) == (Outcome.TIMEOUT, steps)
    assert report["learning_rates"] == [[0, [0.5]]]


def test_run_diverged_at_its_limit_keeps_the_learning_rates(verdict):
    report = verdict(
        """
        learning_rates = [(0, [0.5])]

        def train(task):
            task.state[0].fill_(float("nan"))
            descend(task)
        """,
        limit_steps=3,
    )
    assert report["outcome"] == Outcome.DIVERGED
    assert report["learning_rates"] == [[0, [0.5]]]


def test_threads_may_prefetch_and_numpy_numbers_are_allowed(verdict):
    report = verdict(
        """
        import queue, threading
        import numpy

        def ahead(task, loaded):
            while True:
                for batch in task.train_iterator(batch_size=numpy.int64(64), shuffle=True):
                    loaded.put(batch)

        def train(task):
            loaded = queue.Queue(4)
            threading.Thread(target=ahead, args=(task, loaded), daemon=True).start()
            while True:
                for _ in range(10):
                    _, gradients = task.batch_loss_and_gradient(loaded.get())
                    for weight, gradient in zip(task.state, gradients):
                        weight.sub_(0.5 * gradient)
                task.test(task.state)
        """
    )
    assert report["outcome"] == Outcome.REACHED


def test_killed_worker_is_not_trusted(tmp_path, job, monkeypatch):
    """Without namespaces, a submission could write to the worker's folder and kill it."""
    (tmp_path / "unshare").symlink_to(shutil.which("false"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    body = """
        import json, os, sys, time

        def train(task):
            told = os.path.dirname(os.getcwd())  # its own folder is in the worker's
            report = {"outcome": "reached", "message": "", "seconds": 1e-3}
            with open(told + "/report.json", "w") as file:
                json.dump(report, file)
            os.kill(os.getppid(), 9)
            os.kill(int(open(f"/proc/{os.getppid()}/stat").read().split()[3]), 9)
            time.sleep(9)
        """
    report, snapshot = run_in_process(job(body), Event())
    assert report["outcome"] != "reached" and snapshot is None


@needs_namespaces
def test_there_is_no_network(verdict):
    report = verdict(
        """
        import socket

        def train(task):
            socket.create_connection(("192.0.2.1", 80), timeout=5)
        """
    )
    assert report["outcome"] == Outcome.ERROR and "unreachable" in report["message"]


def test_files_read_by_imports_are_no_data(tmp_path, monkeypatch):
    code = f"open({str(tmp_path / 'style')!r}).close()"
    (tmp_path / "module_that_reads.py").write_text(code)
    for name in ("style", "data"):
        (tmp_path / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    with OpenedFiles() as paths:
        importlib.import_module("module_that_reads")
        (tmp_path / "data").open().close()
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "nothing").open()
    assert paths == {str(tmp_path / "data")}


def test_run_without_namespaces_still_counts(verdict, without_namespaces):
    assert namespaces.isolation(is_apart=True) == "process"
    report = verdict("def train(task):\n    descend(task)\n")
    assert report["outcome"] == Outcome.REACHED and report["steps"] > 0


@pytest.mark.parametrize(
    "line, message",
    [
        ("socket.socket()", "[Errno 97] Address family not supported"),
        (
            "socket.socket(socket.AF_UNIX).connect('/run/service')",
            "for submissions (socket.connect)",
        ),
        ("urllib.request.urlopen('http://example.invalid')", "submissions (socket.getaddrinfo)"),
    ],
)
def test_sockets_are_refused_without_namespaces(verdict, without_namespaces, line, message):
    report = verdict(
        f"""
        import socket, urllib.request

        def train(task):
            {line}
        """
    )
    assert report["outcome"] == Outcome.ERROR
    assert message in report["message"]


ORPHAN = "os.fork() or os.setsid() or os.fork() and os._exit(0) or os.execvp('sleep', sleep)"


@pytest.mark.parametrize(
    "line, outcome",
    [
        ("subprocess.Popen(sleep); time.sleep(60)", Outcome.TIMEOUT),
        ("subprocess.Popen(sleep, start_new_session=True)", Outcome.STOPPED),
        (f"{ORPHAN}; time.sleep(0.2)", Outcome.STOPPED),
    ],
)
def test_child_ends_with_the_run_without_namespaces(tmp_path, job, monkeypatch, line, outcome):
    mark = f"31.5{os.getpid()}"
    body = f"""
        import os, subprocess, time

        sleep = ["sleep", "{mark}"]

        def train(task):
            {line}
        """
    # The worker really is a separate process, so no mock can replace unshare.
    (tmp_path / "unshare").symlink_to(shutil.which("false"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    report, _ = run_in_process(job(body, limit_seconds=1.0), Event())
    assert report["outcome"] == outcome
    assert _ends(mark)


@needs_namespaces
def test_nothing_outlives_the_run(verdict):
    mark = f"31.4{os.getpid()}"
    report = verdict(
        f"""
        import subprocess

        def train(task):
            subprocess.Popen(["sleep", "{mark}"], start_new_session=True)
        """
    )
    assert report["outcome"] == Outcome.STOPPED
    assert _ends(mark)


def _ends(mark):
    """Return whether the child ends within seconds; left alone it would run for half a minute.

    The kernel's signal is slow on a busy machine.
    """
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and _is_running(mark):
        time.sleep(0.05)
    return not _is_running(mark)


def _is_running(mark):
    return subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True).returncode == 0


BOMB = """
        import os, time
        hoard = []

        def train(task):
            while True:
                {line}
        """


@needs_namespaces
def test_fork_bomb_is_stopped(job):
    report, snapshot = run_in_process(
        job(BOMB.format(line="os.fork()"), memory_bytes=2**30), Event()
    )
    assert report["outcome"] == Outcome.ERROR and snapshot is None
    # Either the watch or the kernel's own limit acts first.
    assert report["message"] == f"started more than {MOST_PROCESSES} processes" or report[
        "message"
    ].startswith("BlockingIOError")


@needs_namespaces
def test_processes_exceeding_memory_together_are_ended(job):
    # Each process stays below the limit.
    line = "os.fork() or (hoard.append(b'x' * 2**29), time.sleep(99)); time.sleep(0.3)"
    report, _ = run_in_process(job(BOMB.format(line=line), memory_bytes=2 * 2**30), Event())
    assert report["outcome"] == Outcome.OUT_OF_MEMORY
    assert report["message"] == "took more than 2 GiB of memory"


@needs_namespaces
def test_batch_memory_counts_in_the_worker(job):
    body = """
        def train(task):
            batch = next(iter(task.train_iterator(batch_size=1, shuffle=True)))
            x, y = batch.x, batch.y
            task.batch_loss((x.expand(10**8, *x.shape[1:]), y.expand(10**8)))
        """
    report, _ = run_in_process(job(body, memory_bytes=2 * 2**30), Event())
    assert report["outcome"] == Outcome.OUT_OF_MEMORY
    assert report["message"].startswith("RuntimeError: ")


def test_swallowed_done_counts_as_reached_at_once(verdict, monkeypatch):
    monkeypatch.setattr(serving, "WIND_UP", 0.5)
    report = verdict(
        """
        def train(task):
            while True:
                try:
                    descend(task)
                except Exception:
                    continue
        """
    )
    assert report["outcome"] == Outcome.REACHED
