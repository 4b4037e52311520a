"""Score-function gradients against a closed form, and the bounds of an outer step."""

from types import SimpleNamespace

import pytest
import torch

from metalearn.actions import Actions
from metalearn.config import Config
from metalearn.outer import Outer
from metalearn.shard import Shard
from policy.rule.controller import respond, start_memory
from policy.rule.layout import Layout
from policy.rule.spec import FEATURES, Spec
from policy.rule.weights import flatten, initial_weights, unflatten

SPEC = Spec(hidden=2)
TRUNCATIONS, DECISIONS, GOAL = 3, 2, 4.0  # truncations per episode, decisions per truncation
WHOLE = Shard()


def weights():
    found = initial_weights(SPEC, 0)
    found["head.bias"] = torch.tensor([0.2])
    found["head.weight"].fill_(0.1)
    return found


class Walk:
    """A walk: `x += log rate`, relative to its unit; each decision costs `(x - GOAL)^2`.

    It has a single tensor, so the noise on that tensor is all the exploration. The gradient of the
    smoothed cost, which differs from the cost by a constant, is then unbiased.
    """

    spec = SPEC

    def __init__(self, pairs):
        self.pairs = pairs
        layout = Layout([(1, 1)])
        memory = start_memory(SPEC, layout, layout.pack([torch.ones(2 * pairs, 1, 1)]))
        carry = SimpleNamespace(memory=memory, step=torch.zeros(2 * pairs))
        self.particles = SimpleNamespace(carry=carry)
        self.x, self.turn = torch.zeros(2 * pairs), 0

    def run(self, perturbed, multipliers, watch):
        cost, carry = torch.zeros(2 * self.pairs), self.particles.carry
        for _ in range(DECISIONS):
            features = seen(carry.step)
            own, is_first = unflatten(SPEC, perturbed), carry.step < 1
            hidden, cell, output = respond(SPEC, own, carry.memory, features, is_first)
            carry.memory = carry.memory._replace(
                features=features, hidden=hidden, cell=cell, output=output
            )
            carry.step = carry.step + SPEC.stride
            self.x = self.x + output[:, 0] + multipliers.log()
            cost = cost + (self.x - GOAL) ** 2
            watch(self.particles)
        self.turn += 1
        return cost

    def restart_finished(self):
        is_done = self.turn == TRUNCATIONS
        if is_done:
            self.__init__(self.pairs)
        return torch.full((self.pairs,), is_done)


def seen(step):
    """Return features that change with time."""
    return (0.01 * step[:, None, None]).expand(-1, 1, FEATURES).contiguous()


def true_gradient(theta):
    theta = theta.clone().requires_grad_()
    layout = Layout([(1, 1)])
    memory = start_memory(SPEC, layout, layout.pack([torch.ones(1, 1, 1)]))
    step, x, cost = torch.zeros(1), 0.0, 0.0
    for _ in range(TRUNCATIONS * DECISIONS):
        own = unflatten(SPEC, theta[None])
        hidden, cell, output = respond(SPEC, own, memory, seen(step), step < 1)
        memory = memory._replace(hidden=hidden, cell=cell, output=output)
        step = step + SPEC.stride
        x = x + output[0, 0]
        cost = cost + (x - GOAL) ** 2
    return torch.autograd.grad(cost, theta)[0]


def episode_gradients(theta, episodes, pairs=200, shard=WHOLE):
    """Return estimates summed over each of `episodes` episodes, `[episodes, n]`."""
    generator = torch.Generator().manual_seed(0)
    estimator = Actions(Walk(pairs // shard.size), len(theta), 0.2, shard, generator)
    return torch.stack(
        [
            sum(estimator.estimate(theta).gradient for _ in range(TRUNCATIONS))
            for _ in range(episodes)
        ]
    )


def test_gradient_of_the_output_bias_is_unbiased():
    """The gradient with respect to the output's bias is exact.

    Like the noise, the bias moves all decisions of a truncation alike. n = 60 episodes of 200
    pairs; tolerance of 4 standard errors, which are small.
    """
    theta = flatten(SPEC, weights())
    expected = unflatten(SPEC, true_gradient(theta))["head.bias"][-1]
    found = episode_gradients(theta, 60)
    samples = torch.stack([unflatten(SPEC, row)["head.bias"][-1] for row in found])
    bound = 4 * samples.std() / len(samples) ** 0.5
    assert bound < 0.15 * expected.abs(), "the interval is too wide to tell"
    assert (samples.mean() - expected).abs() < bound


def test_all_weights_get_a_gradient_along_the_true_one():
    theta = flatten(SPEC, weights())
    found, expected = episode_gradients(theta, 60).mean(0), true_gradient(theta)
    assert torch.cosine_similarity(found, expected, dim=0) > 0.8
    for name, part in unflatten(SPEC, found).items():
        assert part.abs().max() > 0, name


def test_masked_weights_get_no_gradient():
    theta = flatten(SPEC, weights())
    estimator = Actions(Walk(4), len(theta), 0.2, WHOLE, torch.Generator().manual_seed(0))
    estimator.mask[::2] = 0.0
    gradient = estimator.estimate(theta).gradient
    assert not gradient[::2].any() and gradient[1::2].any()


def test_shards_add_up_to_one_process():
    theta = flatten(SPEC, weights())
    whole = episode_gradients(theta, 2, pairs=6)
    parts = [episode_gradients(theta, 2, pairs=6, shard=Shard(r, 3)) for r in range(3)]
    torch.testing.assert_close(torch.stack(parts).mean(0), whole, rtol=1e-3, atol=1e-5)


def test_moved_is_the_root_mean_square_change():
    theta = flatten(SPEC, weights())
    estimator = Actions(Walk(4), len(theta), 0.2, WHOLE, torch.Generator().manual_seed(0))
    estimator.estimate(theta)
    shifted = dict(weights())
    shifted["head.bias"] = shifted["head.bias"] + 0.01
    moved = estimator.moved(theta, flatten(SPEC, shifted)).sqrt()
    assert moved.item() == pytest.approx(0.01 * SPEC.gain, rel=0.05)


def test_outer_step_stays_within_the_trust_region(tmp_path):
    config = Config(tmp_path, rate=0.5, warmup=0, trust=0.1)
    for factor, bounded in ((1.0, True), (0.01, False)):
        outer = Outer(torch.zeros(3), 1, config)
        outer.update(torch.ones(1, 3), lambda a, b, f=factor: f * (a - b).abs().max().item())
        far = factor * outer.theta.detach().abs().max().item()
        assert far == pytest.approx(0.1) if bounded else far < 0.01
