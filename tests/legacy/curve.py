"""Runs a train.py on fixed tasks, on whatever torch there is: ``python curve.py train.py out.json``

Writes the losses of the first 500 steps on a convex problem, and the number of steps to the target
on networks. Like the train.py, it needs only Python 3.7, torch 1.1 and numpy.
"""

import importlib.util
import json
import os
import sys

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tasks  # noqa: E402

STEPS = 500
MOST_STEPS = 3000  # on a network; past them the run has failed


class Over(BaseException):
    """Ends a run; not an Exception, which a train.py would take for a failing oracle."""


def curve(train):
    """Loss of each step on the convex problem; fewer than STEPS where train returned early."""
    task, losses = tasks.Regression(), []
    run(train, task, STEPS, losses)
    return losses


def steps_to_target(train, kind):
    """Steps that train took to the target, None where it did not get there."""
    task = kind()
    return task.steps if run(train, task, MOST_STEPS, []) else None


def run(train, task, most, losses):
    """Whether train reached the target within so many steps; appends the losses on its way."""
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
    train = load(train_file)
    found = {
        "torch": torch.__version__,
        "losses": curve(train),
        "steps": {
            kind.__name__.lower(): steps_to_target(train, kind)
            for kind in (tasks.Perceptron, tasks.Images, tasks.Language)
        },
    }
    with open(out, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
