"""Run a train.py on fixed tasks, with any version of torch: `python curve.py train.py out.json`.

Writes the losses of the first 500 steps on a convex problem, and the number of steps to the target
on networks. Like the train.py, it needs only Python 3.7, torch 1.1 and numpy.
"""

import importlib.util
import json
import os
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tasks  # noqa: E402

STEPS = 500
MOST_STEPS = 3000  # on a network; a longer run has failed
STEP_SECONDS, TEST_SECONDS = 0.01, 0.02  # simulated, on the convex problem


class Over(BaseException):
    """Ends a run. Not an Exception, which a train.py would take for a failing oracle."""


class Clock:
    """The system's clock or, once `seconds` is a number, a simulated one that oracle calls advance.

    A train.py may test by the clock and act on a test, so two runs only agree if their clocks do.
    """

    def __init__(self):
        self.system, self.seconds = time.perf_counter, None

    def __call__(self):
        return self.system() if self.seconds is None else self.seconds

    def timed(self, oracle, duration):
        """Return the oracle, with calls that take this many simulated seconds."""

        def call(argument):
            self.seconds += duration
            return oracle(argument)

        return call


def curve(train, clock):
    """Return the loss of each step on the convex problem; fewer than STEPS if train ends early."""
    task, losses = tasks.Regression(), []
    task.batch_loss_and_gradient = clock.timed(task.batch_loss_and_gradient, STEP_SECONDS)
    task.test = clock.timed(task.test, TEST_SECONDS)
    clock.seconds = 0.0
    run(train, task, STEPS, losses)
    clock.seconds = None
    return losses


def steps_to_target(train, kind):
    """Return the steps that train takes to the target, or None if it misses it."""
    task = kind()
    return task.steps if run(train, task, MOST_STEPS, []) else None


def run(train, task, most, losses):
    """Return whether train reached the target within `most` steps; append the losses on its way."""
    answer = task.batch_loss_and_gradient

    def counted(batch):
        if task.steps == most:
            raise Over
        loss, gradients = answer(batch)
        losses.append(float(loss))
        return loss, gradients

    task.batch_loss_and_gradient = counted
    try:
        train(task)
    except tasks.Done:
        return True
    except Over:
        pass
    return False


def load(path):
    spec = importlib.util.spec_from_file_location("train", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.train


def main(train_file, out):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    time.perf_counter = clock = Clock()
    train = load(train_file)
    found = {
        "torch": torch.__version__,
        "losses": curve(train, clock),
        "steps": {
            kind.__name__.lower(): steps_to_target(train, kind)
            for kind in (tasks.Perceptron, tasks.Images, tasks.Language)
        },
    }
    with open(out, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
