"""Meta-gradients of unrolled training against central differences, in float64."""

import pytest
import torch

from metalearn.unroll import LearnedUnroll
from policy.rule.layout import Layout
from policy.rule.spec import Spec
from policy.rule.step import learned_step, start_carry
from policy.rule.weights import flatten, initial_weights, unflatten
from tasks import BatchedTask, Variant

DOUBLE = torch.float64
SPEC = Spec()
PARTICLES = 2

# Smooth activations, since a difference quotient across a kink is meaningless.
TEXT = {"data": "topics", "data_options": {"alphabet": "letters", "context": 8}, "batch_size": 4}
MODELS = {
    "mlp": Variant("mlp", "clusters", {"width": 8, "activation": "tanh"}, batch_size=8),
    "batch norm": Variant(
        "cnn", "clusters", {"width": 4, "norm": "batch", "activation": "tanh"}, batch_size=8
    ),
    "recurrent": Variant("rnn_lm", arch={"width": 8}, **TEXT),
    "attention": Variant("transformer_lm", arch={"head_width": 8}, **TEXT),
}


@pytest.fixture(params=MODELS)
def task(request):
    return BatchedTask([MODELS[request.param]], dtype=DOUBLE, test_samples=10)


def samples(task, steps):
    generator = torch.Generator().manual_seed(1)
    shape = (steps, PARTICLES, task.batch_size)
    return torch.randint(task.train_size, shape, generator=generator)


def central_difference(function, point, direction, h):
    """Return the derivative along a direction, with an error of O(h^4)."""
    near, far = (
        (function(point + k * h * direction) - function(point - k * h * direction)) / (2 * k * h)
        for k in (1, 2)
    )
    return (4 * near - far) / 3


def check(function, point, h):
    """Check the gradient along three random directions, to a relative error of 1e-6."""
    point = point.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(point), point)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        direction = torch.randn(point.shape, generator=generator, dtype=DOUBLE)
        with torch.no_grad():
            expected = central_difference(function, point, direction, h)
        exact = (gradient * direction).sum()
        assert expected.abs() > 1e-6, "the function hardly depends on the point"
        assert ((exact - expected) / expected).abs() < 1e-6


def problem(task):
    """Return a policy with non-zero output, a carry, and the variant of each particle."""
    weights = {k: w.to(DOUBLE) for k, w in initial_weights(SPEC, 0).items()}
    weights["head.weight"].uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    which = torch.zeros(PARTICLES, dtype=torch.long)
    layout = Layout(task.shapes, dtype=DOUBLE)
    carry = start_carry(SPEC, layout, layout.pack(task.initial(which)))
    return flatten(SPEC, weights), layout, carry, which


def run(task, layout, carry, which, theta, chunks):
    weights = unflatten(SPEC, theta.expand(PARTICLES, -1))
    rollout = LearnedUnroll(task, SPEC, layout, carry, weights, which)
    losses = [rollout.advance(part) for part in chunks]
    return rollout, torch.cat(losses)


def test_gradients_of_policy_weights(task):
    """The losses of two decisions are differentiated by all weights of the controller."""
    theta, *rest = problem(task)
    chunks = samples(task, 2 * SPEC.stride).split(SPEC.stride)

    def loss(theta):
        with torch.enable_grad():
            return run(task, *rest, theta, chunks)[1].sum()

    check(loss, theta, 1e-5)


def test_unrolled_steps_equal_the_rules(task):
    """Weights, average and controller agree with `policy.rule.step.learned_step`."""
    theta, layout, carry, which = problem(task)
    chunks = samples(task, 2 * SPEC.stride).split(SPEC.stride)
    rollout, _ = run(task, layout, carry, which, theta, chunks)
    weights = unflatten(SPEC, theta.expand(PARTICLES, -1))
    for t, index in enumerate(torch.cat(chunks)):
        batch = task.batch(which, index)
        live = layout.unpack(carry.buffers.weight)
        loss, gradients = task.loss_and_gradient(live, which, batch)
        gradient = layout.pack(gradients)
        carry = learned_step(SPEC, weights, layout, carry, gradient, loss, t % SPEC.stride == 0)
    after = rollout.carry()
    torch.testing.assert_close(after.buffers, carry.buffers)
    torch.testing.assert_close(after.memory, carry.memory)
    assert (after.buffers.weight - layout.pack(task.initial(which))).abs().max() > 1e-4
