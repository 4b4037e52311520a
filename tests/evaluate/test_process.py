"""Worker processes that hang, die or flood their output."""

from threading import Event

import pytest

from evaluate.outcomes import Outcome
from evaluate.run import process
from evaluate.run.process import Interrupted, run_in_process


@pytest.fixture
def run(job):
    def make(source, limit=30.0, stop=None):
        return run_in_process(job(source, limit_seconds=limit), stop or Event())

    return make


def test_run_that_ignores_the_limit_is_killed(run, monkeypatch):
    monkeypatch.setattr(process, "GRACE", 0.5)
    source = """
        import signal, time

        def train(task):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            time.sleep(60)
    """
    report, snapshot = run(source, limit=0.5)
    assert report["outcome"] is Outcome.TIMEOUT and snapshot is None
    assert report["message"] == "did not stop at the limit and was killed"
    assert report["seconds"] == 1.0


@pytest.mark.parametrize(
    "end, outcome, message",
    [
        ("os.kill(os.getpid(), 9)", "out-of-memory", "the system killed the process"),
        ("os._exit(3)", "error", "the process ended with code 3: last words"),
    ],
)
def test_crashed_run_leaves_its_last_output(run, end, outcome, message):
    report, _ = run(
        f"import os\n\ndef train(task):\n    print('last words', flush=True)\n    {end}\n"
    )
    assert (report["outcome"], report["message"]) == (outcome, message)
    assert report["calls"]["test"] == 0


@pytest.mark.parametrize(
    "end",
    ["print('x' * 20_000_000, flush=True)\n    os._exit(3)", "raise ValueError('x' * 20_000_000)"],
)
def test_flood_of_output_is_truncated(run, end):
    report, _ = run(f"import os\n\ndef train(task):\n    {end}\n")
    assert report["outcome"] == "error" and len(report["message"]) < 5000


def test_no_run_starts_once_the_evaluation_is_ending(run, monkeypatch):
    monkeypatch.setattr(process.subprocess, "Popen", lambda *_, **__: pytest.fail("began a run"))
    stop = Event()
    stop.set()
    with pytest.raises(Interrupted):
        run("def train(task):\n    pass\n", stop=stop)
