"""The tasks of other kinds of networks follow the contract; the table follows the results."""

import pytest
import torch
from absent import or_skip

from benchmarks import kinds
from benchmarks.networks import KINDS, KindTask
from benchmarks.origin import stamp
from checkpoints_to_source.train_file import HAND_SET
from policy.checkpoint import Policy
from tasks import Done


def task_of(kind, **settings):
    return or_skip(KindTask, KINDS[kind], seed=0, **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_kind_follows_the_task_contract(kind):
    task, twin = task_of(kind), task_of(kind)
    random = torch.get_rng_state()
    assert task.test(task.state) == twin.test(twin.state), "seeds do not reproduce"
    assert torch.equal(torch.get_rng_state(), random), "testing leaves a trace"
    batch = next(task.train_iterator(task.default_batch_size, shuffle=True))
    assert all(len(tensor) == task.default_batch_size for tensor in batch)
    torch.manual_seed(1)  # for dropout and the variational code
    loss, gradients = task.batch_loss_and_gradient(batch)
    assert [g.shape for g in gradients] == [weight.shape for weight in task.state]
    assert all(gradient.isfinite().all() for gradient in gradients)
    length = sum(gradient.square().sum() for gradient in gradients).sqrt()
    for weight, gradient in zip(task.state, gradients, strict=True):
        weight -= 1e-2 * gradient / length
    torch.manual_seed(1)
    assert task.batch_loss(batch) < loss


def test_given_tensors_are_tested_and_the_models_are_restored():
    task = task_of("deep")
    before = task.test(task.state)
    zeros = [torch.zeros_like(weight) for weight in task.state]
    assert task.test(zeros) != before and task.test(task.state) == before
    with pytest.raises(Done):
        task_of("deep", target=before + 1).test(task.state)


def test_examples_are_tested_once_whatever_the_batch():
    kind = task_of("deep").kind
    assert kind._replace(test_batch=7).test_loss() == pytest.approx(kind.test_loss())


def test_epoch_has_all_examples_in_the_order_of_the_seed():
    def epoch(seed):
        task = KindTask(KINDS["deep"], seed)
        return task, torch.cat([x for x, _ in task.train_iterator(64, shuffle=True)])

    (task, first), (_, second), (_, other) = (epoch(seed) for seed in (0, 0, 1))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(first.sort(0).values, task.kind.train[0].sort(0).values)


def test_target_is_no_lucky_test(monkeypatch):
    losses = [3.0, 0.1, 2.0, 2.0, 1.0, 1.2, 1.1, 1.3, 2.0]
    found = [(25 * (i + 1), loss) for i, loss in enumerate(losses)]
    monkeypatch.setattr(kinds, "tested_steps", lambda task, due: iter(found))
    target, reached = kinds.bar(task=None)
    assert (target, reached) == (1.2, 50)  # median of the five before the last; first reached at 50


def test_run_counts_steps_and_a_miss_is_none(monkeypatch):
    monkeypatch.setattr(kinds, "STEPS", 150)
    policies = [Policy(HAND_SET, None), Policy(HAND_SET._replace(base_rate=1e-9), None)]
    (row,) = kinds.measure(("deep", 0, policies))
    assert row["kind"] == "deep" and row["parameters"] == 46_529
    assert 0 < row["steps"][0] < 150 and row["steps"][1] is None


def test_miss_counts_as_a_run_up_to_the_limit():
    rows = [
        {"kind": "a_b", "parameters": 1_000, "baseline": 100, "steps": [50, 200]},
        {"kind": "a_b", "parameters": 1_000, "baseline": 300, "steps": [50, None]},
    ]
    lines = kinds.table({**stamp("cpu", 0), "limit": 4.0, "rows": rows}).splitlines()
    assert lines[2] == "| a b | 1,000 | 100 to 300 | 2.00, 6.00 | 0.50, miss |"
    assert lines[3].endswith(
        "| 3.00; 0 slower than Adam, of 2, 0 missed | 0.33; 2 slower than Adam, of 2, 1 missed |"
    )
