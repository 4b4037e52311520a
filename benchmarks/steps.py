"""Batches without end, and whole runs of the driver that several benchmarks make."""

import time
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

from evaluate.run.counting import CountingTask, Recorder
from evaluate.sandbox.limits import LimitReached
from policy.driver import run as runs
from policy.driver import tester as testers
from policy.driver.run import run
from policy.driver.stopwatch import Stopwatch
from policy.loading import Policy
from tasks import Batch, Done, Task, Variant, build_task

MOST = 5_000  # steps of a whole run


def endless(task: Task) -> Iterator[Batch]:
    """Yield batches of the default size, epoch after epoch."""
    while True:
        yield from task.train_iterator(batch_size=task.default_batch_size, shuffle=True)


class FixedBatch(CountingTask):
    """Steps are counted, so all are to be on the default batch, which the driver leaves unchanged
    where it does not know the length of an epoch."""

    def train_iterator(self, *arguments: Any, **keywords: Any) -> Iterable:
        return iter(super().train_iterator(*arguments, **keywords))


def whole_run(variant: Variant, seed: int, policy: Policy) -> dict:
    """Return seconds of the processor, steps, and whether the target was reached, of a run of the
    driver, which goes by the processor's time, too. `seed`: of the order of batches."""
    torch.manual_seed(seed)
    recorder, clock = Recorder(), time.process_time
    task = CountingTask(build_task(variant), recorder, MOST)
    begin, reached = clock(), False
    with (
        mock.patch.object(testers, "time", SimpleNamespace(perf_counter=clock)),
        mock.patch.object(runs, "Stopwatch", lambda wait: Stopwatch(wait, clock)),
    ):
        try:
            run(task, policy.spec, policy.weights)
        except Done:
            reached = True
        except LimitReached:
            pass
    return {"seconds": clock() - begin, "steps": recorder.steps, "reached": reached}
