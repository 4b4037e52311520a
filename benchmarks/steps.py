"""Training steps, counted or without end, that several benchmarks make."""

import math

from evaluate.run.counting import CountingTask, Recorder
from evaluate.sandbox.limits import LimitReached
from policy.driver.run import run
from tasks import Done


def endless(task):
    """Yield batches of the default size, epoch after epoch."""
    while True:
        yield from task.train_iterator(batch_size=task.default_batch_size, shuffle=True)


class FixedBatch(CountingTask):
    """Steps are counted, so all are to be on the default batch, which the driver leaves unchanged
    where it does not know the length of an epoch."""

    def train_iterator(self, *args, **kwargs):
        return iter(super().train_iterator(*args, **kwargs))


def steps_taken(task, most, spec, weights):
    """Return the steps that a policy needs to the target of a task; infinite if more than `most`,
    or if its loss stays NaN."""
    recorder = Recorder()
    try:
        run(FixedBatch(task, recorder, most), spec, weights)
    except Done:
        return recorder.steps
    except (LimitReached, RuntimeError):
        return math.inf
