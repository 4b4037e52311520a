"""What the controller sees of the loss: pace, what is left, excess, and the loss it aims at."""

import math

import pytest
import torch

from policy.rule.controller import decide
from policy.rule.layout import Layout
from policy.rule.signal import Signal, aim, bouncing, global_features, observe
from policy.rule.spec import Spec
from policy.rule.step import learned_step, start_carry
from policy.rule.weights import initial_weights

TIME, PACE, CLOSENESS = 3, 4, 5
NONE = torch.zeros((), dtype=torch.float64)


def signal_after(losses):
    signal = Signal(*[0.0] * len(Signal._fields))
    for step, loss in enumerate(losses, 1):
        signal = observe(signal, float(step), loss)
    return signal


def features_after(losses, target=0.0, excess=NONE):
    features = global_features(signal_after(losses), float(len(losses)), target, excess)
    return features.tolist()


def test_pace_is_relative_to_the_length_of_the_run():
    """A curve of one shape has one pace, whether it took 300 steps or 30,000."""
    short, long = ([math.exp(-2 * t / n) for t in range(n)] for n in (300, 30_000))
    first, second = features_after(short)[PACE], features_after(long)[PACE]
    assert first == pytest.approx(second, rel=0.05) and first > 0.1


def test_a_constant_loss_has_no_pace():
    assert features_after([1.0] * 50 + [0.5] * 3000)[PACE] == pytest.approx(0, abs=1e-3)


def test_time_stands_still_after_three_thousand_steps():
    signal = signal_after([1.0, 0.5])
    before, then, later = (
        global_features(signal, step, 0.0, NONE)[TIME].item() for step in (2900.0, 3000.0, 1e5)
    )
    assert before < then == later


def test_closeness_counts_what_is_left_on_a_logarithmic_scale():
    far, near, there = (
        features_after([1.0] + [level] * 2000)[CLOSENESS] for level in (0.5, 0.05, 0.0)
    )
    assert far - near == pytest.approx(near - there, rel=0.3) and far > near > there


def test_the_aim_is_on_target_where_the_tested_loss_is():
    """Training loss 0.3 goes with test loss 0.5: a target of 0.4 is reached at 0.2."""
    signal = signal_after([0.3] * 1000)
    assert aim(signal, target=0.4, tested=0.5) == pytest.approx(0.2)


def test_excess_is_what_the_average_would_gain(monkeypatch):
    """On a bowl with noisy gradients live weights stay off its floor, averaged ones do not."""
    monkeypatch.setattr("policy.rule.controller.RESTRAINT", 0.0)
    spec, layout = Spec(), Layout([(40,)], dtype=torch.float64)
    weights = {n: w.double() for n, w in initial_weights(spec, 0).items()}
    carry = start_carry(spec, layout, layout.pack([torch.zeros(40, dtype=torch.float64)]))
    generator = torch.Generator().manual_seed(0)
    live, averaged = [], []
    for step in range(1500):
        weight = carry.buffers.weight
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        noisy = layout.unpack(weight + 0.2 * noise)
        gradient = layout.pack(noisy)
        loss = weight.square().sum() / 2
        carry = learned_step(spec, weights, layout, carry, gradient, loss, NONE, step % 5 == 0)
        live.append(loss)
        averaged.append(carry.buffers.average.square().sum() / 2)
    gained = float(sum(live[-150:]) - sum(averaged[-150:])) / 150
    # First order: of a quadratic, twice the difference.
    assert float(carry.memory.excess) == pytest.approx(2 * gained, rel=0.3)
    assert decide(spec, weights, layout, carry, gradient, gradient, 0.0).excess.isfinite()


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "loss, target, excess, share",
    [
        (1.0, 0.0, 0.0, 0.0),
        (1.0, 0.0, 0.5, 0.5 / 1.01),  # and a hundredth of the first loss
        (1.0, 0.5, 0.5, 0.5 / 1.01),  # whatever the target is
        (1.0, -1.0, 0.5, 0.5 / 2.02),  # but one below zero
        (0.0, 0.0, 0.01, 1.0),
        (1.0, 0.0, -0.5, 0.0),
        (1.0, 0.0, 5.0, 0.0),  # not of this loss
        (1.0, 0.0, math.nan, 0.0),
    ],
)
def test_bouncing_is_the_share_of_the_loss_that_is_excess(unit, loss, target, excess, share):
    signal = signal_after([unit] + [unit * loss] * 3000)
    found = bouncing(signal, unit * target, unit * torch.tensor(excess))
    assert float(found) == pytest.approx(math.tanh(share), abs=1e-3)
