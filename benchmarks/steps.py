"""Training steps, counted or without end, that several benchmarks make."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor

from evaluate.run.counting import CountingTask, Recorder
from evaluate.sandbox.limits import LimitReached
from policy.driver.run import run
from policy.rule.spec import Spec
from tasks import Batch, Done, Task


def endless(task: Task) -> Iterator[Batch]:
    """Yield batches of the default size, epoch after epoch."""
    while True:
        yield from task.train_iterator(batch_size=task.default_batch_size, shuffle=True)


class FixedBatch(CountingTask):
    """Steps are counted, so all are to be on the default batch, which the driver leaves unchanged
    where it does not know the length of an epoch."""

    def train_iterator(self, *arguments: Any, **keywords: Any) -> Iterable:
        return iter(super().train_iterator(*arguments, **keywords))


def steps_taken(task: Task, most: int, spec: Spec, weights: dict[str, Tensor] | None) -> float:
    """Return the steps that a policy needs to the target of a task; infinite if more than `most`,
    or if its loss stays NaN."""
    recorder = Recorder()
    try:
        run(FixedBatch(task, recorder, most), spec, weights)
    except Done:
        return recorder.steps
    except (LimitReached, RuntimeError):
        return math.inf
