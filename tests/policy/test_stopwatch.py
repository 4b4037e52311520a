"""Steps are timed from end to end, also where an accelerator makes them after the call."""

from clock import Clock

from policy.driver.stopwatch import EVERY, Stopwatch


class Ahead:
    """An accelerator, which makes steps after the call, and counts how often it is waited for."""

    def __init__(self):
        self.clock, self.ready, self.waits = Clock(), 0.0, 0

    def ask(self, seconds):
        self.ready = max(self.ready, self.clock.now) + seconds

    def wait(self):
        self.waits += 1
        self.clock.now = max(self.clock.now, self.ready)


def test_a_step_lasts_from_the_end_of_the_one_before():
    clock = Clock()
    watch = Stopwatch(lambda: None, clock)
    for _ in range(3):
        clock.spend(2.0)
        assert watch.loaded() == 2.0
        clock.spend(3.0)
        assert watch.asked() == 3.0
        clock.spend(1.0)
        assert watch.stepped() == 6.0


def test_a_step_with_something_else_in_it_is_not_timed():
    clock = Clock()
    watch = Stopwatch(lambda: None, clock)
    watch.loaded()
    watch.skip()
    clock.spend(50.0)
    assert watch.stepped() is None
    clock.spend(2.0)
    assert watch.loaded() == 2.0 and watch.stepped() == 2.0


def test_of_steps_made_after_the_call_some_are_waited_for():
    device = Ahead()
    watch, total = Stopwatch(device.wait, device.clock), 0.0
    for _ in range(4 * EVERY):
        watch.loaded()
        device.ask(1.0)
        total += watch.stepped()
    assert total == 4 * EVERY and device.waits == 4


def test_a_step_is_waited_for_before_a_test():
    device = Ahead()
    watch = Stopwatch(device.wait, device.clock)
    device.ask(1.0)
    assert watch.stepped(is_last=True) == 1.0
