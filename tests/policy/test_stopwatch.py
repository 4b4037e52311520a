"""Steps are timed from end to end, even if an accelerator makes them after the call returns."""

from clock import Clock

from policy.driver.stopwatch import Stopwatch


def test_step_time_starts_at_the_end_of_the_previous_step():
    clock = Clock()
    watch = Stopwatch(lambda: None, clock)
    for _ in range(3):
        clock.spend(2.0)
        assert watch.loaded() == 2.0
        clock.spend(3.0)
        assert watch.asked() == 3.0
        clock.spend(1.0)
        assert watch.stepped(is_exact=True) == 6.0


def test_time_before_a_restart_is_not_counted():
    clock = Clock()
    watch = Stopwatch(lambda: None, clock)
    clock.spend(50.0)
    watch.restart()
    clock.spend(2.0)
    assert watch.loaded() == 2.0 and watch.stepped(is_exact=True) == 2.0


def test_only_exact_timing_waits():
    """An accelerator makes steps after the call returns."""
    clock = Clock()
    watch = Stopwatch(lambda: clock.spend(1.0), clock)
    assert watch.stepped(is_exact=False) == 0.0
    assert watch.stepped(is_exact=True) == 1.0
