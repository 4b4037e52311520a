"""The quirks of the challenge's image task."""

from dataclasses import replace

import pytest
import torch

from tasks import Batch, Done, Variant, build_task
from tasks.data import load_samples

VARIANT = Variant("cnn", "digits", {"width": 4, "norm": "batch"}, {"test": 300}, batch_size=16)


@pytest.fixture
def task():
    return build_task(VARIANT)


def first_batch(task):
    return next(iter(task.train_iterator(batch_size=16, shuffle=False)))


def nudge(task):
    """Move the weights and the batch-norm statistics away from their initial values."""
    for batch in list(task.train_iterator(batch_size=16, shuffle=True))[:10]:
        _, gradients = task.batch_loss_and_gradient(batch)
        for tensor, gradient in zip(task.state, gradients, strict=True):
            tensor.sub_(0.1 * gradient)


def test_state_aliases_the_model(task):
    batch, before = first_batch(task), task.batch_loss(first_batch(task))
    task.state[-2] = torch.zeros_like(task.state[-2])
    assert task.batch_loss(batch) == before, "rebinding leaves the model unchanged"
    task = build_task(VARIANT)
    task.state[-2].zero_()
    assert task.batch_loss(batch) != before


def test_batch_loss_moves_batch_norm_statistics(task):
    before, batch = task.test(task.state), first_batch(task)
    loss = task.batch_loss(batch)
    assert type(loss) is float
    assert loss == task.batch_loss(batch), "training mode: the statistics are the batch's own"
    assert task.test(task.state) != before


def test_gradients_reuse_storage(task):
    iterator = iter(task.train_iterator(batch_size=16, shuffle=False))
    loss, gradients = task.batch_loss_and_gradient(next(iterator))
    kept = [gradient.clone() for gradient in gradients]
    assert type(loss) is float
    _, again = task.batch_loss_and_gradient(next(iterator))
    assert [g.data_ptr() for g in gradients] == [g.data_ptr() for g in again]
    assert not all(torch.equal(a, b) for a, b in zip(kept, gradients, strict=True))


def test_test_uses_the_given_state_and_running_statistics(task):
    start = [tensor.clone() for tensor in task.state]
    untrained = task.test(task.state)
    nudge(task)
    trained = task.test(task.state)
    at_start = task.test(start)
    assert at_start not in (untrained, trained), "old weights meet new statistics"
    assert task.test(task.state) == trained, "testing leaves the run as it was"


def test_last_incomplete_batch_is_dropped(task):
    batches = task.train_iterator(batch_size=100, shuffle=True)
    assert len(batches) == len(list(batches)) == 14  # 1,497 examples
    assert {len(batch.x) for batch in batches} == {100}
    assert list(task.train_iterator(batch_size=1498, shuffle=True)) == []


def test_shuffle_is_required_and_obeyed(task):
    with pytest.raises(TypeError):
        task.train_iterator(16)
    ordered, shuffled = (task.train_iterator(batch_size=16, shuffle=s) for s in (False, True))
    assert torch.equal(next(iter(ordered)).x, next(iter(ordered)).x)
    assert not torch.equal(next(iter(shuffled)).x, next(iter(shuffled)).x)


def test_test_averages_the_means_of_batches_of_100():
    """With 250 examples, the last 50 weigh as much as 100 others."""
    variant = Variant("mlp", "digits", data_options={"test": 250})
    task, data = build_task(variant), load_samples("digits", variant.data_options, None)
    parts = zip(data.test_x.split(100), data.test_y.split(100), strict=True)
    losses = [task.batch_loss(Batch(x, y)) for x, y in parts]
    assert len(losses) == 3
    assert task.test(task.state) == pytest.approx(sum(losses) / 3)


def test_done_strictly_below_the_target():
    variant = replace(VARIANT, arch={"width": 4})
    loss = build_task(variant).test(build_task(variant).state)
    reached = build_task(replace(variant, target=loss))
    assert reached.test(reached.state) == loss, "equal is not below"
    beaten = build_task(replace(variant, target=loss + 1e-6))
    with pytest.raises(Done):
        beaten.test(beaten.state)
    assert build_task(variant).target_test_loss == 0.0


def test_nan_is_returned_silently():
    task = build_task(replace(VARIANT, target=5.0))
    task.state[0].fill_(float("nan"))
    assert task.test(task.state) != task.test(task.state)


def test_label_noise_changes_its_share_of_training_labels_only():
    clean, noisy = (build_task(replace(VARIANT, label_noise=n)) for n in (0.0, 0.5))
    labels = [
        torch.cat([batch.y for batch in task.train_iterator(batch_size=100, shuffle=False)])
        for task in (clean, noisy)
    ]
    wrong = (labels[0] != labels[1]).float().mean().item()
    assert wrong == pytest.approx(0.5 * 0.9, abs=0.05)
    assert clean.test(clean.state) == noisy.test(noisy.state)


def test_init_scale_multiplies_matrices_only():
    plain, scaled = (build_task(replace(VARIANT, init_scale=s)) for s in (1.0, 2.5))
    for p, q in zip(plain.state, scaled.state, strict=True):
        torch.testing.assert_close(q, p * 2.5 if p.dim() > 1 else p)
