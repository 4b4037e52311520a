"""The initial policy of meta-training lengthens short steps and shortens long ones."""

import pytest
import torch

from metalearn.prior import first_policy
from policy.rule.controller import rates_of
from policy.rule.layout import Layout
from policy.rule.step import learned_step, start_carry


@pytest.mark.parametrize("scale, grows", [(0.01, True), (300.0, False)])
def test_short_steps_grow_and_long_ones_shrink(scale, grows):
    spec, weights = first_policy(0)
    weights = {name: weight.double() for name, weight in weights.items()}
    layout = Layout([(50,)], dtype=torch.float64)
    carry = start_carry(spec, layout, layout.pack([torch.ones(50, dtype=torch.float64)]))
    memory = carry.memory._replace(unit=scale * carry.memory.unit)
    carry = carry._replace(memory=memory, rates=layout.per_row(rates_of(spec, memory)))
    generator = torch.Generator().manual_seed(0)
    first = rates_of(spec, carry.memory)
    for step in range(300):
        weight = carry.buffers.weight
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        loss = weight.square().sum() / 2
        gradient = weight + 0.5 * noise
        carry = learned_step(spec, weights, layout, carry, gradient, loss, step % 5 == 0)
    assert ((rates_of(spec, carry.memory) > first) == grows).all()
    factor = rates_of(spec, carry.memory) / first
    assert (factor > 1.5).all() if grows else (factor < 0.8).all()


def test_seed_only_affects_the_lstm():
    first, second = first_policy(0), first_policy(1)
    differ = [n for n, w in first.weights.items() if not torch.equal(w, second.weights[n])]
    assert differ == ["lstm.weight"]
