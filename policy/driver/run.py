"""Runs a policy on the challenge's oracles until the target test loss is reached."""

import contextlib

from policy.driver.batch_size import BatchSize
from policy.driver.batches import oracle_answers
from policy.driver.echo import Echo
from policy.driver.learner import Learner
from policy.driver.losses import LossReader
from policy.driver.room import Room
from policy.driver.tester import Tester


def run(task, spec, weights, trace=None):
    """Train ``task`` with a policy; returns only by an exception, in the good case the task's own.

    However it ends, the model holds the weights that reached the target, or else the best that were
    tested.

    Args:
        task: object of the challenge's interface.
        spec: :class:`policy.rule.spec.Spec`.
        weights: name -> float32 tensor, shapes in :func:`policy.rule.spec.weight_shapes`; None for
            the constant rate ``spec.base_rate`` of each direction, in natural units.
        trace: list that receives ``(step, [rate of each tensor])`` at each test; the rate of a
            tensor is the sum over its update directions.

    Raises:
        RuntimeError: no training batch at any batch size, an oracle that keeps failing, a loss that
            stays NaN or infinite, or no memory whatever is given up.
        The task's ``Done``, when its target is reached.
    """
    learner = Learner(task, spec, weights)
    losses = LossReader(spec.stride)
    batch_size = BatchSize(max(int(task.default_batch_size), 1))
    room = Room(learner, batch_size)
    tester = Tester(task, learner, room, trace)
    echo = Echo(wait=None if learner.is_on_host else learner.wait)
    is_due = False
    try:
        for batch, loss, gradients in oracle_answers(task, batch_size, echo, room):
            reading = losses.add(loss)
            if reading:
                if not learner.accepts(reading[0]):
                    if learner.is_restored:
                        echo.leave()  # its hidden state, too, may be one that is not finite
                    continue
                tester.observe(*reading)
            try:
                if is_due:
                    # The comparison is an oracle call, which may reuse the gradients' storage.
                    gradients = [None if g is None else g.clone() for g in gradients]
                    tester.compare(batch, loss, gradients)
                if batch_size.is_due() and not learner.is_holding and not is_due:
                    learner.hold(gradients)
                    echo.skip()
                    continue
                learner.scale_rates(batch_size.rate_factor())
                begin = echo.clock()
                noise = learner.step(loss, gradients)
                batch_size.updated(begin - echo.begin, echo.clock() - begin)
                if batch_size.is_burdened():
                    learner.divide()
                if noise is not None:
                    batch_size.decide(noise)
            except (MemoryError, RuntimeError) as error:
                room.recover(error)
                continue
            room.failures = 0
            tester.remember(batch)
            if is_due:
                tester.test()
                echo.skip()
            is_due = tester.is_due()
            if is_due:
                echo.drop()  # weights are compared on a batch that they were not just trained on
    except BaseException as error:
        # A device that has failed can't be written to; what ended the run is to be told.
        with contextlib.suppress(Exception):
            tester.leave_best(error)
        raise
