"""The quirks of the challenge's language task."""

from dataclasses import replace

import pytest
import torch

import tasks.language
from tasks import Variant, VariantError, build_task

VARIANT = Variant(
    "rnn_lm",
    "topics",
    arch={"width": 8, "depth": 2, "dropout": 0.5},
    data_options={"context": 10, "train": 3000, "test": 505},
    batch_size=5,
    clip=0.4,
    oracle="language",
)
PLAIN = replace(VARIANT, arch={"width": 8})


def batches(task, batch_size=5):
    return task.train_iterator(batch_size=batch_size, shuffle=True)


def test_batches_are_windows_of_contiguous_streams():
    iterator = batches(build_task(VARIANT))
    epoch = list(iterator)
    assert len(iterator) == len(epoch) == 60  # 600 characters in each of 5 streams
    assert epoch[0].x.shape == epoch[0].y.shape == (10, 5), "time first"
    assert epoch[-1].x.shape == (9, 5), "the last window is what is left"
    assert torch.equal(epoch[0].x[1:], epoch[0].y[:-1])
    assert torch.equal(epoch[0].y[-1], epoch[1].x[0])


def test_shuffle_is_optional_and_ignored():
    task = build_task(VARIANT)
    a, b = (next(iter(task.train_iterator(batch_size=5, shuffle=s))) for s in (True, False))
    assert torch.equal(a.x, b.x)
    assert torch.equal(next(iter(task.train_iterator(5))).x, a.x)


def test_hidden_state_is_carried_by_the_batches():
    task = build_task(PLAIN)
    iterator = iter(batches(task))
    first = next(iterator)
    assert not first.hidden[0].any()
    task.batch_loss(first)
    second = next(iterator)
    assert second.hidden[0].any()
    carried = task.batch_loss(second)
    zeros = tuple(torch.zeros_like(part) for part in second.hidden)
    assert task.batch_loss(second._replace(hidden=zeros)) != carried


def test_train_iterator_reads_the_corpus_again_and_resets_the_hidden_state(monkeypatch):
    task = build_task(PLAIN)
    task.batch_loss(next(iter(batches(task))))
    reads, load = [], tasks.language.load
    monkeypatch.setattr(tasks.language, "load", lambda *a: reads.append(a) or load(*a))
    for _ in range(2):
        batch = next(iter(batches(task, batch_size=7)))
        assert batch.hidden[0].shape == (1, 7, 8) and not batch.hidden[0].any()
    assert len(reads) == 2


def test_training_batches_carry_nothing_of_the_test_stream():
    task = build_task(PLAIN)
    iterator = iter(batches(task))
    task.batch_loss(next(iterator))
    task.test(task.state)
    assert not any(part.any() for part in next(iterator).hidden)


def test_loss_types_and_clipped_gradients():
    task = build_task(replace(PLAIN, init_scale=30.0))
    batch = next(iter(batches(task)))
    assert type(task.batch_loss(batch)) is float
    loss, gradients = task.batch_loss_and_gradient(batch)
    assert isinstance(loss, torch.Tensor) and loss.dim() == 0 and not loss.requires_grad
    norm = torch.cat([g.flatten() for g in gradients]).norm().item()
    assert norm == pytest.approx(0.4, rel=1e-3)
    before = gradients[0].clone()
    _, again = task.batch_loss_and_gradient(next(iter(batches(task, batch_size=3))))
    assert again[0].data_ptr() == gradients[0].data_ptr()
    assert not torch.equal(before, gradients[0])


def test_test_ignores_the_given_state():
    task = build_task(PLAIN)
    live = task.test(task.state)
    assert task.test([torch.zeros_like(tensor) for tensor in task.state]) == live
    task.state[0].mul_(2)
    assert task.test(task.state) != live


def test_test_keeps_dropout_on_when_given_a_state():
    task = build_task(VARIANT)
    assert task.test(task.state) != task.test(task.state)


def test_test_without_a_state_switches_to_evaluation_for_good():
    task = build_task(VARIANT)
    assert task.test() == task.test()
    assert task.test(task.state) == task.test(task.state)
    batch = next(iter(batches(task)))
    assert task.batch_loss(batch) == task.batch_loss(batch)


def test_test_in_mid_epoch_breaks_another_batch_size():
    task = build_task(PLAIN)
    iterator = iter(batches(task, batch_size=7))
    task.batch_loss_and_gradient(next(iterator))
    task.test(task.state)
    batch = next(iterator)
    assert batch.hidden[0].shape == (1, 5, 8)
    with pytest.raises(RuntimeError, match="hidden"):
        task.batch_loss_and_gradient(batch)
    fresh = next(iter(batches(task, batch_size=7)))
    task.batch_loss_and_gradient(fresh)


def test_reparametrised_network_starts_the_same():
    plain, scaled = (build_task(replace(PLAIN, reparam=r)) for r in (0.0, 1.0))
    assert scaled.test(scaled.state) == pytest.approx(plain.test(plain.state), rel=1e-5)
    assert not torch.equal(plain.state[0], scaled.state[0])


def test_too_little_test_text_is_named():
    with pytest.raises(VariantError, match="too few for 300 streams"):
        build_task(replace(VARIANT, batch_size=300))
