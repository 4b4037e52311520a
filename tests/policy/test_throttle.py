"""The common factor of all rates that keeps the excess of the loss at a set point."""

import math

import pytest
import torch

from policy.layout import Layout
from policy.scalars import asinh
from policy.spec import Spec
from policy.step import learned_step, start_carry
from policy.throttle import FROM, GAIN, HIGHEST, LACKING, LOWEST, TOO_MUCH, WANTED, throttled
from policy.weights import initial_weights


def after(steps, excess, stride=5, begin=1):
    factor = torch.tensor(0.0)
    for step in range(begin, steps + 1, stride):
        factor = throttled(factor, float(step), stride, torch.tensor(excess))
    return float(factor)


@pytest.mark.parametrize("excess, error", [(WANTED - 0.05, 0.05), (-3.0, LACKING), (WANTED, 0.0)])
def test_it_integrates_what_lacks_over_log_time(excess, error):
    seen = [after(51, excess, stride) for stride in (1, 5, 10)]
    assert seen == pytest.approx([GAIN * error * math.log(51 / FROM)] * 3, abs=1e-5)


def test_too_much_lowers_it_and_neither_goes_on_for_ever():
    assert after(31, 4.0) == pytest.approx(-GAIN * TOO_MUCH * math.log(31 / FROM), abs=1e-5)
    assert after(10_000, 4.0) == pytest.approx(LOWEST)
    assert after(10_000, -4.0) == pytest.approx(HIGHEST)


def test_nothing_happens_in_the_first_steps():
    assert after(int(FROM), 4.0) == 0.0


def test_tensors_and_numbers_agree():
    steps, excess = torch.tensor([31.0, 200.0]), torch.tensor([0.5, 0.0])
    many = throttled(torch.tensor([0.1, -0.2]), steps, 5, excess)
    for i, before in enumerate((0.1, -0.2)):
        alone = throttled(torch.tensor(before), float(steps[i]), 5, excess[i])
        torch.testing.assert_close(many[i], alone)


@pytest.mark.parametrize("rate, sign", [(6e-3, 1), (2e-2, -1)])
def test_on_a_noisy_bowl_rates_come_to_where_the_excess_is_wanted(rate, sign):
    """From below and from above. The gap, from the first loss to a target of zero, is 20."""
    spec = Spec(base_rate=rate)
    layout = Layout([(40,)], dtype=torch.float64)
    silent = {n: torch.zeros_like(w).double() for n, w in initial_weights(spec, 0).items()}
    carry = start_carry(spec, layout, layout.pack([torch.ones(40, dtype=torch.float64)]))
    generator = torch.Generator().manual_seed(0)
    target = torch.tensor(0.0, dtype=torch.float64)
    for step in range(1500):
        weight = layout.unpack(carry.buffers.weight)[0]
        noise = 0.5 * torch.randn(40, generator=generator, dtype=torch.float64)
        gradient, loss = layout.pack([weight + noise]), weight.square().sum() / 2
        is_decision = step % spec.stride == 0
        carry = learned_step(spec, silent, layout, carry, gradient, loss, target, is_decision)
    excess = asinh(30 * carry.memory.excess / 20) / 3
    assert float(excess) == pytest.approx(WANTED, abs=0.04)
    assert 0.2 < sign * float(carry.memory.throttle) < 0.9
