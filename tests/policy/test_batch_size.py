"""The batch only grows and shrinks if that pays.

It grows if a larger one takes little longer and has a better gradient. It shrinks if samples cost
time and gradients agree.
"""

import itertools
import math

import pytest

from policy.driver.batch_size import (
    FIRST_DECISION,
    LEAST_SIZE,
    SETTLING,
    TIMED,
    BatchSize,
)


def sizes(seconds, noise, steps=3000, batches=1000, default=16, opening=0.0, update=0.0):
    """Return the batch size at each step of a made-up task.

    A step takes `seconds(size)`, of which `update` are for the weights; starting an epoch takes
    another `opening` seconds. The noise scale is `noise(size)`.
    """
    batch_size, found, opened = BatchSize(default), [], None
    for _ in range(steps):
        size, begin = batch_size.size, 0.0
        if size != opened:
            opened, begin = size, opening
            batch_size.opened(batches * default // size, opening)
        found.append(size)
        batch_size.updated(1.0, update)
        batch_size.made(begin + seconds(size))
        if batch_size.is_due():
            batch_size.decide(noise(batch_size.size))
    return found


def noisy(size):
    """Return the noise scale of a task for which no batch is large enough."""
    return 1e4 / size


def changing(first, later, decisions=1):
    """Return a noise scale that is `first` for a number of decisions, then `later(size)`."""
    count = itertools.count()
    return lambda size: first if next(count) < decisions else later(size)


def test_grows_to_the_limit_if_samples_are_free():
    found = sizes(lambda size: 1.0, noisy, update=1.0)
    assert set(found[:FIRST_DECISION]) == {16}
    assert found[-1] == 16 * 8


def test_shrinks_if_samples_dominate_and_gradients_agree():
    found = sizes(lambda size: float(size), lambda size: 0.01, default=64)
    assert set(found[:FIRST_DECISION]) == {64}
    assert found[-1] == 64 // 8
    assert sizes(lambda size: float(size), lambda size: 0.01)[-1] == LEAST_SIZE


def test_shrinks_repeatedly_while_it_helps():
    found = sizes(lambda size: 64.0 + size, lambda size: 1.28 / size, default=128)
    assert found.index(32) - found.index(64) == SETTLING + TIMED
    assert found[-1] == 32  # at 16 a step takes five sixths of the time, which doesn't pay


def test_returns_when_gradients_no_longer_agree():
    found = sizes(lambda size: 8.0 + size, changing(0.01, lambda size: 640 / size))
    assert min(found) < 16 and found[-1] >= 16


def test_returns_to_the_default_with_short_epochs():
    noise = changing(0.01, lambda size: 640 / size)
    found = sizes(lambda size: 8.0 + size, noise, batches=5)
    assert min(found) < 16 and found[-1] == 16


def test_returns_from_a_size_with_unexpectedly_slow_steps():
    found = sizes(lambda size: 1.0 if size == 16 else 2.5, noisy, update=0.9)
    assert set(found) == {16, 32} and found.count(32) == SETTLING + TIMED and found[-1] == 16


@pytest.mark.parametrize(
    "default, noise, tried", [(LEAST_SIZE, 0.7, 2 * LEAST_SIZE), (64, 0.5, 32)]
)
def test_update_time_is_known_before_a_trial(default, noise, tried):
    """A larger size is tried if updates take most of the time, a smaller one if they don't.

    The noise rewards the larger size only if a step takes as long, the smaller one only if it takes
    half as long.
    """
    long, short = (
        sizes(lambda size: 10.0, lambda size: noise / 4, default=default, update=update)
        for update in (9.0, 0.5)
    )
    assert (tried in long, tried in short) == (tried > default, tried < default)


@pytest.mark.parametrize("at", [4, FIRST_DECISION + SETTLING])
def test_slow_outlier_at_either_size_is_ignored(at):
    late = iter([1.0] * at + [50.0])
    assert sizes(lambda size: next(late, 1.0), noisy, update=1.0)[-1] == 16 * 8
    late = iter([1.0] * at + [50.0])
    assert sizes(lambda size: size * next(late, 1.0), noisy)[-1] == 16


def test_forced_size_stays_after_a_trial(begun):
    batch_size = begun(16)
    batch_size.decide(1e4)
    assert batch_size.size == 32
    batch_size.fix(8)
    for _ in range(100):
        batch_size.made(1.0)
    assert batch_size.size == 8 and not batch_size.is_due()


def test_default_that_does_not_fit_shrinks():
    batch_size = BatchSize(16)
    batch_size.size = 32
    batch_size.shrink()
    assert batch_size.size == batch_size.default == 16
    batch_size.shrink()
    assert batch_size.size == batch_size.default == 8 and batch_size.is_fixed
    assert batch_size.rate_factor() == 1.0


def test_noise_after_a_forced_size_changes_nothing(begun):
    batch_size = begun(16)
    batch_size.fix(8)
    batch_size.decide(1e4)
    assert batch_size.size == 8


def test_nan_noise_changes_nothing():
    assert set(sizes(lambda size: 1.0, lambda size: math.nan)) == {16}


def test_noise_is_measured_at_doubling_steps():
    asked = []
    sizes(lambda size: 1.0, lambda size: asked.append(size) or math.nan, steps=3000)
    assert len(asked) == 1 + int(math.log2(3000 / FIRST_DECISION))


def test_shortest_time_counts():
    """Longer times are due to other work on the machine."""
    batch_size = BatchSize(16)
    for seconds in (5.0, 100.0):
        batch_size.opened(1000, seconds)
        batch_size.updated(2 * seconds, seconds)
    assert batch_size.opening == batch_size.updating == 5.0 and batch_size.asking == 10.0
    for seconds in [0.1] * SETTLING + [3.0, 1.0, 2.0]:
        assert batch_size.is_timing()
        batch_size.made(seconds)
    assert batch_size.times == {16: 1.0} and not batch_size.is_timing()
    batch_size.made(0.1)  # after timing has ended
    assert batch_size.times == {16: 1.0} and batch_size.spent == pytest.approx(6.3)


def test_trial_must_pay_for_returning_too(begun):
    batch_size = begun(16)
    batch_size.opening = 2.0
    assert not batch_size.is_due()
    batch_size.times[32] = batch_size.times[16]  # as a trial would be expected to find
    assert batch_size.is_due()


def test_no_larger_size_without_gradient_noise():
    assert max(sizes(lambda size: 1.0, lambda size: 0.01)) == 16


def test_no_larger_size_with_short_epochs():
    assert set(sizes(lambda size: 1.0, noisy, batches=39)) == {16}


def test_slow_epoch_starts_must_pay_off():
    """Steps take one second, all for the update; with a larger batch half as many suffice."""
    free, slow, slowest = (
        sizes(lambda size: 1.0, noisy, opening=opening, update=1.0) for opening in (0.0, 30.0, 1e4)
    )
    assert free.index(32) == FIRST_DECISION
    assert 60 < slow.index(32) < 300
    assert max(slowest) == 16


def test_returns_with_slow_epoch_starts():
    found = sizes(lambda size: float(size), noisy, opening=16.0)
    assert set(found) == {16, 32} and found[-1] == 16


def test_noise_is_only_measured_if_it_could_change_the_size(begun):
    batch_size = begun(LEAST_SIZE)
    assert batch_size.is_due()
    batch_size.times[2 * LEAST_SIZE] = 2.0 * batch_size.times[LEAST_SIZE]
    assert not batch_size.is_due()


def test_no_decision_with_unknown_epoch_length():
    batch_size = BatchSize(16)
    for _ in range(100):
        batch_size.made(1.0)
        assert not batch_size.is_due()


def test_late_decision_replaces_missed_ones():
    batch_size = BatchSize(16)
    for _ in range(100):
        batch_size.made(1.0)
    batch_size.opened(1000, 0.0)
    batch_size.updated(0.05, 0.95)  # a smaller batch saves little
    decided = []
    while batch_size.steps < 900:
        if batch_size.is_due():
            batch_size.decide(0.01)  # and without noise a larger one doesn't pay
            decided.append(batch_size.steps)
        batch_size.made(1.0)
    assert decided == [100, 128, 256, 512]


def test_later_noise_changes_the_decision_without_a_second_trial():
    noise = changing(0.05, lambda size: 50.0, decisions=2)
    found = sizes(lambda size: 0.8 + size / 80, noise, update=0.8)
    assert found[-1] > 16
    changes = [(a, b) for a, b in zip(found, found[1:], strict=False) if a != b]
    assert len(changes) == len(set(changes))
