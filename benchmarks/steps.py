"""What several benchmarks run: batches without end, whole runs of the driver, timed calls."""

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


def timed(
    function: Callable, calls: int, device: torch.device | str, finish: Callable | None = None
) -> float:
    """Return mean seconds of a call: of the processor on the CPU, otherwise of the wall clock with
    the device idle before and after. `finish` waits until it is, None for what torch does there."""
    on_cpu = torch.device(device).type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    finish = finish or (lambda: None if on_cpu else torch.cuda.synchronize(device))
    finish()
    begin = clock()
    for _ in range(calls):
        function()
    finish()
    return (clock() - begin) / calls
