"""Helpers of several benchmarks: endless batches, whole runs of the driver, timed calls."""

import time
from collections.abc import Callable, Iterable, Iterator
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

MOST = 5_000  # most steps of a whole run


def endless(task: Task) -> Iterator[Batch]:
    """Yield batches of the default size, epoch after epoch."""
    while True:
        yield from task.train_iterator(batch_size=task.default_batch_size, shuffle=True)


class FixedBatch(CountingTask):
    """A counting task whose batch size stays at the default, so that step counts are comparable.

    Its epochs have no length, and without one the driver leaves the batch size unchanged.
    """

    def train_iterator(self, *arguments: Any, **keywords: Any) -> Iterable:
        return iter(super().train_iterator(*arguments, **keywords))


def whole_run(variant: Variant, seed: int, policy: Policy) -> dict:
    """Run the driver; return processor seconds, steps, and whether it reached the target.

    The driver's clock is processor time, too. `seed` fixes the order of batches.
    """
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


def timed(
    function: Callable, calls: int, device: torch.device | str, finish: Callable | None = None
) -> float:
    """Return the mean seconds of a call.

    It is processor time on the CPU, and wall-clock time otherwise, with the device idle before and
    after. `finish` waits until the device is idle; the default waits for torch.
    """
    on_cpu = torch.device(device).type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    finish = finish or (lambda: None if on_cpu else torch.cuda.synchronize(device))
    finish()
    begin = clock()
    for _ in range(calls):
        function()
    finish()
    return (clock() - begin) / calls
