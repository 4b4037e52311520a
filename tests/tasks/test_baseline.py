"""The baseline is torch's Adam, batched or not."""

import math

import pytest
import torch

from tasks import Batch, BatchedTask, Variant, adam_curves, build_task, steps_to_test

VARIANTS = [Variant("mlp", "digits", {"width": 12}, batch_size=16, seed=s) for s in (1, 2)]


def test_adam_curves_equal_torch_adam_and_torch_averaging():
    batched = BatchedTask(VARIANTS, dtype=torch.float64, test_samples=400)
    curves = adam_curves(batched, [0, 7, 20, 25], seed=3)
    assert curves.steps.tolist() == [0, 7, 20, 25]

    generator = torch.Generator().manual_seed(3)
    stream = [torch.randint(1397, (2, 16), generator=generator) for _ in range(25)]
    for row, variant in enumerate(VARIANTS):
        task = build_task(variant, dtype=torch.float64)
        whole = list(task.train_iterator(batch_size=1, shuffle=False))
        x, y = torch.cat([b.x for b in whole]), torch.cat([b.y for b in whole])
        optimizer = torch.optim.Adam(task.state, lr=1e-3)
        own, averaged = [task.test(task.state)], [task.test(task.state)]
        iterates = []
        for step, index in enumerate(stream, 1):
            _, gradients = task.batch_loss_and_gradient(Batch(x[index[row]], y[index[row]]))
            for tensor, gradient in zip(task.state, gradients, strict=True):
                tensor.grad = gradient
            optimizer.step()
            iterates.append([tensor.clone() for tensor in task.state])
            if step in (7, 20, 25):
                own.append(task.test(task.state))
                averaged.append(task.test(polynomial_average(iterates)))
        assert curves.own[row].tolist() == pytest.approx(own, abs=1e-9)
        assert curves.averaged[row].tolist() == pytest.approx(averaged, abs=1e-9)
        assert abs(averaged[-1] - own[-1]) > 1e-3


def polynomial_average(iterates):
    """Return the average in closed form: iterate t has the weight t (t + 1) ... (t + 8)."""
    weights = [math.prod(range(t, t + 9)) for t in range(1, len(iterates) + 1)]
    return [
        sum(w * tensor for w, tensor in zip(weights, tensors, strict=True)) / sum(weights)
        for tensors in zip(*iterates, strict=True)
    ]


def test_adam_curves_are_reproducible_and_depend_on_their_seed():
    batched = BatchedTask(VARIANTS, test_samples=100)
    first, again, other = (adam_curves(batched, [0, 4, 8], seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(first.own[:, 0], other.own[:, 0])
    assert not torch.equal(first.own, other.own)


@pytest.mark.parametrize("longest", [3, 5, 63, 600, 50_000])
def test_steps_to_test_are_dense_at_first_and_few(longest):
    steps = steps_to_test(longest)
    gaps = [b - a for a, b in zip(steps, steps[1:], strict=False)]
    assert steps[0] == 0 and steps[-1] == longest and len(steps) < 200
    assert all(gap == 5 for gap, start in zip(gaps[:-1], steps, strict=False) if start < 180)
    assert all(0 < gap <= max(5, 0.06 * at) for gap, at in zip(gaps, steps, strict=False))
