"""Runs a policy on the challenge's oracles until the target test loss is reached."""

import contextlib

from policy.driver.batch_size import SETTLING, BatchSize
from policy.driver.contract import number_of
from policy.driver.learner import Learner
from policy.driver.losses import LossReader
from policy.driver.oracle import Oracle
from policy.driver.rescue import NO_MEMORY, Rescue
from policy.driver.stopwatch import Stopwatch
from policy.driver.tester import Tester


def run(task, spec, weights, trace=None):
    """Train ``task`` with a policy. Ends only by an exception: the task's own at its target.

    If ``task.test`` raised it, the model holds the weights that were tested; after any other end,
    the best ones tested.

    Args:
        task: object of the challenge's interface.
        spec: :class:`policy.rule.spec.Spec`.
        weights: name -> float32 tensor, shapes in :func:`policy.rule.spec.weight_shapes`; None for
            the constant rate ``spec.base_rate``, in natural units.
        trace: list that receives ``(step, [rate of each tensor])`` at each test.

    Raises:
        RuntimeError: no training batch at any batch size, an oracle that keeps failing, a loss that
            stays NaN or infinite, memory that runs out whatever is given up, or a target of NaN.
        The task's ``Done`` when its target is reached, and whatever else its methods raise.
    """
    learner = Learner(task, spec, weights)
    losses = LossReader(spec.stride)
    size = number_of(task, "default_batch_size", "the number of samples of a batch")
    batch_size = BatchSize(max(int(size), 1))
    rescue = Rescue(learner, batch_size)
    watch = Stopwatch(learner.wait)
    oracle = Oracle(task, batch_size, rescue, watch)
    tester = Tester(task, learner, rescue, trace)
    try:
        while True:
            batch, loss, gradients = oracle.answer()
            reading = losses.add(loss)
            if reading and not rescue.accepts(reading[0]):
                if rescue.is_restored:
                    oracle.leave()  # its hidden state may not be finite either
                continue
            if reading:
                tester.observe(*reading)
            is_measuring = batch_size.is_due() and not learner.is_holding
            try:
                tester.remember(batch, gradients)
                if is_measuring:
                    learner.hold(gradients)
                else:
                    _update(learner, batch_size, watch, loss, gradients)
            except (MemoryError, RuntimeError) as error:
                rescue.failed(error, is_oracle=False)
                watch.restart()
                continue
            rescue.over(NO_MEMORY)
            if not is_measuring:
                batch_size.made(watch.stepped(batch_size.is_timing()))
                if tester.is_due():
                    tester.test()
            watch.restart()
    except BaseException as error:
        # Writing to a device that failed raises again, but the first exception must get out.
        with contextlib.suppress(Exception):
            tester.leave_best(error)
        raise


def _update(learner, batch_size, watch, loss, gradients):
    """Make a step, and pass its time and noise to the batch size."""
    learner.scale_rates(batch_size.rate_factor())
    asking = watch.asked()
    noise = learner.step(loss, gradients)
    batch_size.updated(asking, watch.asked() - asking)
    if learner.steps == SETTLING and batch_size.updating > batch_size.asking:
        learner.divide()
    if noise is not None:
        batch_size.decide(noise)
