"""Reports of the worker for each possible outcome of a submission."""

import pytest
import torch

from evaluate.outcomes import Outcome
from evaluate.run.process import Job
from evaluate.run.worker import run
from evaluate.submission import is_out_of_memory

DESCENT = """
def train(task):
    while True:
        for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
            _, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(task.state, gradients):
                weight.sub_({rate} * gradient)
        task.test(task.state)
"""


@pytest.fixture
def report(tmp_path, submission_file, quadratic):
    """Return a function that runs a submission's source on the quadratic task.

    It returns the report and the snapshot.
    """

    def make(source, limit=30.0, **options):
        job = Job(
            submission=str(submission_file(source)),
            variant={},
            seed=0,
            limit_seconds=limit,
            device="cpu",
            threads=1,
            folder=str(tmp_path),
        )
        return run(job, lambda: quadratic(**options))

    return make


def test_outcome_reached(report):
    found, snapshot = report(DESCENT.format(rate=0.5))
    assert found["outcome"] is Outcome.REACHED and found["message"] == ""
    assert found["steps"] == 2 and found["calls"]["test"] == 1
    assert found["train_curve"]["loss"] == [1.0, 0.25]
    assert snapshot["state"][0].tolist() == [0.25, 0.25]
    assert 0 < found["test_seconds"] < found["seconds"] < 30
    assert found["tensor_shapes"] == [[2]] and found["learning_rates"] is None


def test_work_after_done_is_not_timed(report):
    source = """
        import time

        def train(task):
            tested = [weight * 0.1 for weight in task.state]
            try:
                task.test(tested)
            finally:
                time.sleep(1.0)
                tested[0].fill_(9.0)
    """
    found, snapshot = report(source)
    assert found["outcome"] is Outcome.REACHED and found["seconds"] < 1.0
    assert snapshot["tested"][0].tolist() == pytest.approx([0.1, 0.1])


def test_outcome_stopped(report):
    found, snapshot = report("def train(task):\n    task.test(task.state)\n")
    assert found["outcome"] is Outcome.STOPPED and snapshot is None
    assert found["calls"] == {"batch_loss_and_gradient": 0, "batch_loss": 0, "test": 1}


def test_diverged_when_the_last_loss_is_not_finite(report):
    source = """
        def train(task):
            task.state[0].fill_(float("inf"))
            task.batch_loss_and_gradient(None)
            task.test(task.state)
    """
    found, _ = report(source)
    assert found["outcome"] is Outcome.DIVERGED


def test_restart_after_divergence_is_no_divergence(report):
    source = """
        def train(task):
            task.state[0].fill_(float("nan"))
            task.batch_loss_and_gradient(None)
            task.test(task.state)
            task.state[0].fill_(1.0)
            task.batch_loss_and_gradient(None)
            task.test(task.state)
    """
    assert report(source)[0]["outcome"] is Outcome.STOPPED


def test_outcome_timeout(report):
    found, _ = report(DESCENT.format(rate=0.0), limit=0.3)
    assert found["outcome"] is Outcome.TIMEOUT
    assert 0.3 <= found["seconds"] < 5
    assert found["steps"] > 0 and len(found["train_curve"]["loss"]) > 0


def test_target_reached_after_the_limit_is_a_timeout(report):
    source = """
        import signal, time

        def train(task):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            time.sleep(0.3)
            task.test([0.1 * weight for weight in task.state])
    """
    found, snapshot = report(source, limit=0.1)
    assert found["outcome"] is Outcome.TIMEOUT and found["message"] == ""
    assert snapshot is None and found["calls"]["test"] == 1


def test_diverged_by_the_limit(report):
    found, _ = report(DESCENT.format(rate=-1e30), limit=0.5)
    assert found["outcome"] is Outcome.DIVERGED


def test_error_names_the_exception_and_the_line(report):
    found, _ = report("def train(task):\n    task.batch_loss(None)\n    raise KeyError('moment')\n")
    assert found["outcome"] is Outcome.ERROR
    assert found["message"] == "KeyError: 'moment' (train.py:3)"
    assert found["calls"]["batch_loss"] == 1


def test_error_in_the_file_itself(report):
    found, _ = report("import no_such_module\n\ndef train(task):\n    pass\n")
    assert found["outcome"] is Outcome.ERROR and "no_such_module" in found["message"]


def test_outcome_out_of_memory(report):
    found, _ = report("import torch\n\ndef train(task):\n    torch.empty(2**60)\n")
    assert found["outcome"] is Outcome.OUT_OF_MEMORY
    assert is_out_of_memory(torch.OutOfMemoryError()) and not is_out_of_memory(RuntimeError("x"))


def test_own_done_exception_is_cheating(report):
    found, snapshot = report("from tasks import Done\n\ndef train(task):\n    raise Done\n")
    assert found["outcome"] is Outcome.CHEATED and snapshot is None
    assert found["message"] == "Done was not raised by the oracle"


@pytest.mark.parametrize("owner", ["task", "task._task"])
def test_moved_target_is_cheating(report, owner):
    source = f"def train(task):\n    {owner}.target_test_loss = 99.0\n    task.test(task.state)\n"
    found, snapshot = report(source)
    assert found["outcome"] is Outcome.CHEATED and snapshot is None
    assert found["message"] == "the submission changed target_test_loss"


def test_learning_rates_are_read(report):
    source = """
        import torch
        learning_rates = []

        def train(task):
            for step in range(1000):
                learning_rates.append((step, [torch.tensor(0.123456789)]))
    """
    rates = report(source)[0]["learning_rates"]
    assert len(rates) == 200 and rates[0] == [0, [0.1235]] and rates[-1][0] == 999


@pytest.mark.parametrize("rates", ["3", "[1, 2]", "[(0, [1.0]), (1, [1.0, 2.0])]", "[]"])
def test_malformed_learning_rates_are_dropped(report, rates):
    found, _ = report(f"learning_rates = {rates}\n\ndef train(task):\n    pass\n")
    assert found["learning_rates"] is None and found["outcome"] is Outcome.STOPPED
