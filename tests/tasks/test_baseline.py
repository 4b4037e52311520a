"""The baseline is torch's Adam, batched or not."""

import pytest
import torch

from tasks import Batch, BatchedTask, Variant, adam_curve, build_task
from tasks.reference import adam_epochs

VARIANTS = [Variant("mlp", "digits", {"width": 12}, batch_size=16, seed=s) for s in (1, 2)]


def test_adam_curve_equals_torch_adam():
    batched = BatchedTask(VARIANTS, dtype=torch.float64, test_samples=400)
    curve = adam_curve(batched, steps=25, test_every=10, seed=3)
    assert curve.shape == (2, 3)

    generator = torch.Generator().manual_seed(3)
    stream = [torch.randint(1397, (2, 16), generator=generator) for _ in range(25)]
    for row, variant in enumerate(VARIANTS):
        task = build_task(variant, dtype=torch.float64)
        whole = list(task.train_iterator(batch_size=1, shuffle=False))
        x, y = torch.cat([b.x for b in whole]), torch.cat([b.y for b in whole])
        optimizer = torch.optim.Adam(task.state, lr=1e-3)
        losses = [task.test(task.state)]
        for step, index in enumerate(stream, 1):
            _, gradients = task.batch_loss_and_gradient(Batch(x[index[row]], y[index[row]]))
            for tensor, gradient in zip(task.state, gradients, strict=True):
                tensor.grad = gradient
            optimizer.step()
            if step % 10 == 0:
                losses.append(task.test(task.state))
        assert curve[row].tolist() == pytest.approx(losses, abs=1e-9)


def test_adam_curve_is_reproducible_and_depends_on_its_seed():
    batched = BatchedTask(VARIANTS, test_samples=100)
    first, again, other = (adam_curve(batched, 8, 4, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first[:, 0], other[:, 0]) and not torch.equal(first, other)


def test_adam_epochs_learns():
    losses, seconds = adam_epochs(build_task(VARIANTS[0]), 3)
    assert len(losses) == 3 and losses[2] < losses[1] < losses[0] < 2.4
    assert seconds > 0
