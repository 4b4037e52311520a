"""Batches are used again where loading them is slow, and only there."""

import itertools
from collections import Counter

from clock import Clock

import policy.driver.run
from policy.driver import tester as testers
from policy.driver.echo import EVERY, LAP_DECAY, MOST, WARMUP, Echo


class Host:
    """Makes steps at the call."""

    wait = None

    def __init__(self):
        self.clock = Clock()

    def ask(self, seconds):
        self.clock.spend(seconds)

    def finish(self):
        pass


class Ahead(Host):
    """An accelerator, which makes steps after the call, and counts how often it is waited for."""

    ready, waits = 0.0, 0

    def ask(self, seconds):
        self.ready = max(self.ready, self.clock.now) + seconds

    def finish(self):
        self.clock.now = max(self.clock.now, self.ready)

    def wait(self):
        self.waits += 1
        self.finish()


def counts(loading, using, batches=60, testing=0.0, device=None):
    """Uses of each batch, whose iterator waits for the steps before, on a clock of its own."""
    device = device or Host()
    clock, found = device.clock, []
    echo = Echo(clock, device.wait)
    for _ in range(batches):
        clock.spend(loading)
        device.finish()
        echo.loaded()
        found.append(echo.count())
        for _ in range(found[-1]):
            device.ask(using)
            echo.used()
        if testing:
            clock.spend(testing)
            echo.skip()
    return found


def test_batches_are_fresh_where_the_step_is_the_longer_part():
    assert set(counts(1.0, 1.0)) == set(counts(0.0, 1.0)) == set(counts(1.9, 1.0)) == {1}


def test_slow_loading_repeats_batches_within_the_limit():
    assert counts(2.1, 1.0)[-1] == 2
    assert counts(100.0, 1.0)[-1] == MOST
    assert set(counts(100.0, 1.0)[:WARMUP]) == {1}


def test_steps_that_an_accelerator_makes_after_the_call_are_not_taken_for_loading():
    device = Ahead()
    assert set(counts(0.5, 1.0, device=device)) == {1} and device.waits == 2 * 60 // EVERY
    assert counts(2.3, 1.0, device=Ahead())[-1] == 2
    found = counts(100.0, 1.0, device=Ahead())
    assert found[-1] == MOST and set(found[:WARMUP]) == {1}


def test_steps_that_are_on_their_way_are_waited_for_before_a_test():
    """It would wait for them, and its time is left out."""
    device = Ahead()
    echo = Echo(device.clock, device.wait)
    echo.loaded()
    device.ask(1.0)
    assert echo.used() == 0.0
    echo.loaded()
    device.ask(1.0)
    echo.drop()
    assert echo.used() == 2.0


def test_tests_count_as_neither():
    assert counts(2.1, 1.0, testing=50.0) == counts(2.1, 1.0)


def test_what_begins_an_epoch_is_shared_by_its_batches():
    for batches, count in ((2, MOST), (30, 1)):
        clock, found = Clock(), []
        echo = Echo(clock)
        for i in range(60):
            is_first = i % batches == 0
            clock.spend(20.0 if is_first else 0.0)
            assert echo.loaded(batches if is_first else 0) == (20.0 if is_first else 0.0)
            found.append(echo.count())
            clock.spend(1.0)
            echo.used()
        assert found[-1] == count and set(found) <= {1, count}


def test_a_step_with_a_test_in_it_is_not_timed():
    clock = Clock()
    echo = Echo(clock)
    clock.spend(1.0)
    echo.loaded()
    clock.spend(2.0)
    assert echo.used() == 3.0
    clock.spend(1.0)
    echo.loaded()
    echo.skip()
    clock.spend(2.0)
    assert echo.used() is None and echo.uses == LAP_DECAY
    clock.spend(2.0)
    assert echo.used() == 2.0


def test_a_slow_loader_is_asked_for_fewer_batches(Bowl, finish, monkeypatch):
    clock = Clock()

    class Slow(Bowl):
        target_test_loss, steps, loads = -1.0, 0, 0

        def train_iterator(self, batch_size, shuffle):
            for batch in super().train_iterator(batch_size, shuffle):
                clock.spend(9.0)
                self.loads += 1
                yield batch

        def batch_loss_and_gradient(self, batch):
            clock.spend(1.0)
            self.steps += 1
            return super().batch_loss_and_gradient(batch)

        def test(self, state):
            clock.spend(1000.0)
            return super().test(state)

    monkeypatch.setattr(policy.driver.run, "Echo", lambda wait: Echo(clock))
    task = Slow()
    assert finish(task) == "limit"
    assert task.tested
    assert 2.5 * task.loads < task.steps


def test_weights_are_compared_on_a_batch_that_was_not_trained_on(Bowl, finish, monkeypatch):
    clock, numbers, uses, compared = Clock(), itertools.count(), Counter(), []

    class Slow(Bowl):
        target_test_loss = -1.0

        def train_iterator(self, batch_size, shuffle):
            for _ in range(10):
                clock.spend(9.0)
                yield next(numbers)

        def batch_loss_and_gradient(self, batch):
            clock.spend(1.0)
            uses[batch] += 1
            return super().batch_loss_and_gradient(batch)

    compare = testers.Tester.compare

    def noted(tester, batch, *arguments):
        compared.append(uses[batch])
        compare(tester, batch, *arguments)

    monkeypatch.setattr(policy.driver.run, "Echo", lambda wait: Echo(clock))
    monkeypatch.setattr(testers.Tester, "compare", noted)
    assert finish(Slow()) == "limit"
    assert max(uses.values()) == MOST
    assert compared and set(compared) == {1}
