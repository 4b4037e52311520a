"""Hostile tasks: each run ends by Done, the limit or a clear message, with the best weights.

The limit is a number of oracle calls. `finish` fails a test that ends in any other way.
"""

import itertools
import math
import signal
import time

import pytest
import torch

import policy.driver.learner
import policy.driver.losses
import policy.driver.rescue
import policy.driver.tester
import policy.rule.stepper
from policy.driver.run import run
from policy.rule.spec import Spec
from policy.rule.step import learned_step_
from policy.rule.weights import initial_weights

# ---- quirks of the challenge's own tasks


def test_gradients_that_reuse_their_storage(Bowl, finish):
    class Task(Bowl):
        buffers = [torch.zeros(3, 2), torch.zeros(5)]

        def gradients(self):
            for buffer, gradient in zip(self.buffers, super().gradients(), strict=True):
                buffer.copy_(gradient)
            return self.buffers

        def train_iterator(self, batch_size, shuffle):
            for batch in super().train_iterator(batch_size, shuffle):
                for buffer in self.buffers:
                    buffer.fill_(math.nan)
                yield batch

    assert finish(Task()) == "done"


def test_state_is_never_rebound(Bowl, finish):
    task = Bowl()
    before = list(task.state)
    assert finish(task) == "done"
    assert all(a is b for a, b in zip(before, task.state, strict=True))


@pytest.mark.parametrize("device_like", [False, True], ids=["at hand", "read every stride"])
def test_losses_that_are_tensors(Bowl, finish, monkeypatch, device_like):
    class Task(Bowl):
        def batch_loss(self, batch):
            return torch.tensor(self.true_loss(), requires_grad=True)

    if device_like:
        monkeypatch.setattr(policy.driver.losses, "is_at_hand", lambda loss: False)
    assert finish(Task()) == "done"


def test_shuffle_and_batch_size_by_keyword_only(Bowl, finish):
    class Task(Bowl):
        def train_iterator(self, *, batch_size, shuffle):
            return super().train_iterator(batch_size, shuffle)

    assert finish(Task()) == "done"


def test_batch_larger_than_the_data_set(Bowl, finish):
    class Task(Bowl):
        default_batch_size = 128

        def train_iterator(self, batch_size, shuffle):
            self.batch_sizes.append(batch_size)
            return range(20 // batch_size)

    task = Task()
    assert finish(task) == "done"
    assert task.batch_sizes[:5] == [128, 64, 32, 16, 16]


@pytest.fixture
def ticking(monkeypatch):
    """Replace the clock by one that advances equally in every run.

    On the real clock, a pause of the machine during a test could delay the next test beyond the
    run.
    """
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: 1e-4 * next(ticks))


def test_test_uses_statistics_moved_by_the_training_loss(Bowl, finish, ticking):
    """As with batch norm, the test loss is far off until the statistics follow the weights."""

    class Task(Bowl):
        statistic = 0.0

        def batch_loss(self, batch):
            self.statistic += 0.2 * (float(self.state[1].mean()) - self.statistic)
            return self.true_loss()

        def test(self, state):
            if (float(state[1].mean()) - self.statistic) ** 2 > 1e-4:
                return 2.0
            return super().test(state)

    assert finish(Task(), Spec(base_rate=8e-3)) == "done"


def test_test_that_ignores_the_passed_state(Bowl, finish):
    class Task(Bowl):
        def test(self, state):
            return super().test(self.state)

    assert finish(Task()) == "done"


def test_test_that_needs_the_passed_state(Bowl, finish):
    class Task(Bowl):
        def test(self, state=None):
            assert state is not None
            return super().test([p.clone() for p in state])

    assert finish(Task()) == "done"


def test_noisy_test(Bowl, finish):
    class Task(Bowl):
        generator = torch.Generator().manual_seed(0)

        def test(self, state):
            return super().test(state) + 0.1 * float(torch.randn((), generator=self.generator))

    assert finish(Task()) == "done"


def test_test_that_resets_the_hidden_state(Bowl, finish):
    """After a test, both oracles fail until the next epoch."""

    class Task(Bowl):
        is_reset = False

        def train_iterator(self, batch_size, shuffle):
            self.is_reset = False
            return super().train_iterator(batch_size, shuffle)

        def batch_loss(self, batch):
            if self.is_reset:
                raise RuntimeError("Expected hidden size (3, 64, 650), got (3, 32, 650)")
            return super().batch_loss(batch)

        def test(self, state):
            self.is_reset = True
            return super().test(state)

    assert finish(Task()) == "done"


def test_clipped_gradients(Bowl, finish):
    class Task(Bowl):
        def gradients(self):
            gradients = super().gradients()
            norm = math.sqrt(sum(float(g.pow(2).sum()) for g in gradients))
            return [g * min(1.0, 1e-3 / norm) for g in gradients]

    assert finish(Task()) == "done"


# ---- loaders


def test_empty_loader(Bowl, finish):
    class Task(Bowl):
        def train_iterator(self, batch_size, shuffle):
            return []

    assert "no batch" in finish(Task())


def test_loader_that_returns_the_same_iterator_again(Bowl, finish):
    class Task(Bowl):
        once = iter(range(5))

        def train_iterator(self, batch_size, shuffle):
            return self.once

    assert "each call must give a fresh iterator" in finish(Task())


def test_loader_empty_after_a_failure(Bowl, finish):
    class Task(Bowl):
        def train_iterator(self, batch_size, shuffle):
            if len(super().train_iterator(batch_size, shuffle)) and len(self.batch_sizes) == 1:
                raise RuntimeError("once")
            return []

    assert "no batch" in finish(Task())


def test_loader_of_one_batch(Bowl, finish):
    class Task(Bowl):
        def train_iterator(self, batch_size, shuffle):
            return iter([0])

    assert finish(Task()) == "done"


# ---- losses


@pytest.mark.parametrize("device_like", [False, True], ids=["at hand", "read every stride"])
@pytest.mark.parametrize("as_tensor", [False, True], ids=["float", "tensor"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_loss_never_finite(Bowl, finish, monkeypatch, value, as_tensor, device_like):
    class Task(Bowl):
        def batch_loss_and_gradient(self, batch):
            _, gradients = super().batch_loss_and_gradient(batch)
            loss = torch.tensor(value) if as_tensor else value
            return loss, [g * math.nan for g in gradients]

    if device_like and as_tensor:
        monkeypatch.setattr(policy.driver.losses, "is_at_hand", lambda loss: False)
    assert "from the start" in finish(Task())


def test_losses_not_finite_from_some_point_on(Bowl, finish):
    class Task(Bowl):
        def batch_loss(self, batch):
            return math.nan if self.calls < 250 else super().batch_loss(batch)

    assert "after a return to sound weights" in finish(Task())


@pytest.mark.parametrize("device_like", [False, True], ids=["at hand", "read every stride"])
def test_bad_batches_now_and_then(Bowl, finish, monkeypatch, device_like):
    class Task(Bowl):
        def batch_loss_and_gradient(self, batch):
            loss, gradients = super().batch_loss_and_gradient(batch)
            factor = math.nan if batch == 3 else 1.0
            return torch.tensor(loss * factor), [g * factor for g in gradients]

    if device_like:
        monkeypatch.setattr(policy.driver.losses, "is_at_hand", lambda loss: False)
    assert finish(Task()) == "done"


def test_non_finite_hidden_state_until_the_next_epoch(Bowl, finish):
    """A recurrent network carries its hidden state from batch to batch."""

    class Task(Bowl):
        hidden, epochs = 0.0, 0

        def train_iterator(self, batch_size, shuffle):
            self.hidden, self.epochs = 0.0, self.epochs + 1
            return iter(range(1000))  # without length, so the batch size doesn't follow the clock

        def batch_loss_and_gradient(self, batch):
            if batch == 5 and self.epochs == 1:
                self.hidden = math.nan
            loss, gradients = super().batch_loss_and_gradient(batch)
            return loss + self.hidden, [g + self.hidden for g in gradients]

    task = Task()
    assert finish(task) == "done" and 1 < task.epochs < 5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_non_finite_gradient_with_a_finite_loss(Bowl, finish, value):
    """A step would make the weights NaN briefly, and running statistics for good."""

    class Task(Bowl):
        running = 0.0

        def batch_loss_and_gradient(self, batch):
            self.running = 0.9 * self.running + 0.1 * float(self.state[0].mean())
            loss, gradients = super().batch_loss_and_gradient(batch)
            if self.calls == 295:
                gradients[0][0] = value
            return loss, gradients

        def test(self, state):
            return self.running if math.isnan(self.running) else super().test(state)

    assert finish(Task()) == "done"


def test_cause_is_reported_even_if_the_device_has_failed(Bowl, monkeypatch):
    class Task(Bowl):
        def batch_loss_and_gradient(self, batch):
            if self.calls == 250:
                raise KeyboardInterrupt
            return super().batch_loss_and_gradient(batch)

    def failed(learner):
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(policy.driver.learner.Learner, "show_best", failed)
    with pytest.raises(KeyboardInterrupt):
        run(Task(), Spec(base_rate=5e-3), initial_weights(Spec(), 0))


def test_loss_exploding_past_a_cliff(Bowl, finish):
    """Overlong steps end in NaN; shorter steps then continue."""

    class Task(Bowl):
        def batch_loss_and_gradient(self, batch):
            loss, gradients = super().batch_loss_and_gradient(batch)
            if any(float(p.max()) > 1.2 for p in self.state):
                return math.nan, [g * math.nan for g in gradients]
            return loss, gradients

    assert finish(Task(), Spec(base_rate=0.2)) == "done"


def test_constant_loss(Bowl, finish):
    class Task(Bowl):
        def batch_loss(self, batch):
            return 1.0

    assert finish(Task()) == "done"


# ---- gradients


def test_zero_gradients(Bowl, finish):
    class Task(Bowl):
        def gradients(self):
            return [torch.zeros_like(p) for p in self.state]

    task = Task()
    assert finish(task) == "limit"
    assert all(bool((p == 0).all()) for p in task.state)


@pytest.mark.parametrize("factor", [1e-25, 1e12, 1e30])
def test_gradients_of_extreme_size(Bowl, finish, factor):
    class Task(Bowl):
        def gradients(self):
            return [factor * g for g in super().gradients()]

    outcome = finish(Task())
    assert outcome == ("limit" if factor < 1 else "done")


def test_one_infinite_gradient(Bowl, finish):
    class Task(Bowl):
        def gradients(self):
            gradients = super().gradients()
            if self.calls == 280:
                gradients[0][0, 0] = math.inf
            return gradients

    assert finish(Task()) == "done"


def test_gradients_of_one_tensor_always_nan(Bowl, finish):
    class Task(Bowl):
        target_test_loss = 0.6

        def gradients(self):
            first, second = super().gradients()
            return [first, second * math.nan]

    assert finish(Task()) == "done"


def test_sparse_gradients(Bowl, finish):
    class Task(Bowl):
        def gradients(self):
            first, second = super().gradients()
            return [first.to_sparse(), second]

    assert finish(Task()) == "done"


def test_missing_gradients(Bowl, finish):
    class Task(Bowl):
        target_test_loss = 0.6

        def gradients(self):
            return [super().gradients()[0], None]

    task = Task()
    assert finish(task) == "done"
    assert bool((task.state[1] == 0).all())


def test_too_few_gradients(Bowl, finish):
    class Task(Bowl):
        def gradients(self):
            return super().gradients()[:1]

    assert "1 gradients for 2 tensors" in finish(Task())


def test_gradients_other_than_tensors(Bowl, finish):
    class Task(Bowl):
        def gradients(self):
            return [gradient.numpy() for gradient in super().gradients()]

    assert "a gradient of ndarray for a tensor of torch.Size([3, 2])" in finish(Task())


@pytest.mark.parametrize("answer", [0.5, None, (0.5, None), ([torch.zeros(3, 2)], 0.5)])
def test_malformed_oracle_answer(Bowl, finish, answer):
    class Task(Bowl):
        def batch_loss_and_gradient(self, batch):
            return answer

    with pytest.raises(TypeError, match="it must return the loss and a list of gradients"):
        finish(Task())


# ---- states


@pytest.mark.parametrize("state", [{"weight": torch.zeros(3, 2)}, [[0.0]], None])
def test_malformed_state(Bowl, finish, state):
    class Task(Bowl):
        def make_state(self):
            return state

        def true_loss(self, state=None):
            return 0.0

    assert "it must be a list of the tensors to train" in finish(Task())


def test_empty_state(Bowl, finish):
    class Task(Bowl):
        def make_state(self):
            return []

        def true_loss(self, state=None):
            return 0.0

    assert "task.state is empty" in finish(Task())


STATES = {
    "0-d and empty": lambda: [torch.zeros(()), torch.zeros(0), torch.zeros(0, 4), torch.zeros(2)],
    "half": lambda: [torch.zeros(3, 2).half(), torch.zeros(5).half()],
    "float64": lambda: [torch.zeros(3, 2).double(), torch.zeros(5).double()],
    "mixed precision": lambda: [torch.zeros(3, 2).half(), torch.zeros(5)],
    "non-contiguous": lambda: [torch.zeros(4, 6).t(), torch.zeros(3, 10)[:, ::2]],
    "views of one tensor": lambda: list(torch.zeros(4, 3).unbind(0)),
    "shared": lambda: [torch.zeros(3, 2)] * 2,
    "parameters": lambda: [torch.zeros(3, 2, requires_grad=True)],
}


@pytest.mark.parametrize("name", STATES)
def test_unusual_states(Bowl, finish, name):
    class Task(Bowl):
        def make_state(self):
            return STATES[name]()

    task = Task()
    kinds = [p.dtype for p in task.state]
    assert finish(task) == "done"
    assert kinds == [p.dtype for p in task.state]


def test_ten_thousand_tensors(Bowl, finish):
    class Task(Bowl):
        target_test_loss = 0.99

        def make_state(self):
            return list(torch.zeros(10_000, 3).unbind(0))

        def true_loss(self, state=None):
            return float((self.state[-1] - 1).pow(2).mean())

        def gradients(self):
            return [self.state[0] - 1] * len(self.state)

    assert finish(Task(calls=30)) == "done"


class Unsized:
    """A loader whose `len()` fails."""

    def __init__(self, error):
        self.error = error

    def __iter__(self):
        return iter(range(10))

    def __len__(self):
        if self.error is None:
            return -1
        raise self.error


@pytest.mark.parametrize("error", [NotImplementedError("len"), AttributeError("dataset"), None])
def test_loader_whose_length_is_wrong(Bowl, finish, error):
    class Task(Bowl):
        def train_iterator(self, batch_size, shuffle):
            super().train_iterator(batch_size, shuffle)
            return Unsized(error)

    assert finish(Task()) == "done"


# ---- oracles that fail


def test_oracle_that_raises_once(Bowl, finish):
    class Task(Bowl):
        def batch_loss(self, batch):
            if self.calls == 290:
                raise RuntimeError("once")
            return super().batch_loss(batch)

    assert finish(Task()) == "done"


def test_oracle_that_always_raises(Bowl, finish):
    class Task(Bowl):
        def batch_loss(self, batch):
            raise RuntimeError("no such layer")

    task = Task()
    assert finish(task) == "no such layer" and task.calls == 298


class Budget(Exception):
    """A judge's own exception."""


class Broken(RuntimeError):
    """Another one, derived from an exception that oracles are known to raise."""


class Full(MemoryError):
    """Another one, derived from MemoryError."""


ENDS = [Budget, Broken, Full, TimeoutError, ValueError, StopIteration, SystemExit]


@pytest.mark.parametrize("where", ["train_iterator", "batch_loss", "batch_loss_and_gradient"])
@pytest.mark.parametrize("kind", ENDS)
def test_foreign_exception_ends_the_run_at_once(Bowl, monkeypatch, kind, where):
    """A caller's limit comes from a signal handler or from the task."""
    if where == "batch_loss":  # called to renew running statistics
        monkeypatch.setattr(policy.driver.tester, "has_batch_norm", lambda *_: True)

    class Task(Bowl):
        target_test_loss, has_ended = -1.0, False

        def train_iterator(self, batch_size, shuffle):
            self.pass_on("train_iterator")
            return super().train_iterator(batch_size, shuffle)

        def batch_loss(self, batch):
            self.pass_on("batch_loss")
            return super().batch_loss(batch)

        def batch_loss_and_gradient(self, batch):
            assert not self.has_ended, "training went on"
            self.pass_on("batch_loss_and_gradient")
            self.calls -= 1
            return self.true_loss(), self.gradients()

        def pass_on(self, name):
            if name == where and self.tested and not self.has_ended:
                self.has_ended = True
                raise kind("time is up")

    task = Task(calls=3000)
    with pytest.raises(kind, match="time is up"):
        run(task, Spec(base_rate=5e-3), initial_weights(Spec(), 0))
    assert task.has_ended and task.true_loss() == pytest.approx(min(task.tested), rel=1e-3)


def test_alarm_ends_the_run_anywhere(Bowl, alarm):
    class Task(Bowl):
        target_test_loss = -1.0

    for seconds in (0.01, 0.03, 0.1, 0.2):
        alarm(seconds)
        with pytest.raises(TimeoutError, match="rang"):
            run(Task(calls=10**9), Spec(base_rate=5e-3), initial_weights(Spec(), 0))


@pytest.fixture
def alarm():
    """Return a function that sets an alarm whose handler raises TimeoutError."""

    def ring(number, frame):
        raise TimeoutError("rang")

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("first", [False, True], ids=["later test", "first test"])
@pytest.mark.parametrize("kind", [*ENDS, RuntimeError, BaseException])
def test_exception_from_a_test_leaves_the_tested_weights(Bowl, kind, first):
    class Task(Bowl):
        def test(self, state):
            if self.true_loss() < self.target_test_loss or first and self.calls < 3000:
                self.reached = self.true_loss()
                raise kind("reached")
            return super().test(state)

    task = Task(calls=3000)
    with pytest.raises(kind, match="reached"):
        run(task, Spec(base_rate=5e-3), initial_weights(Spec(), 0))
    assert task.true_loss() == task.reached < 1


OUT_OF_MEMORY = [
    MemoryError(),
    RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_backs_off(Bowl, finish, error):
    class Task(Bowl):
        default_batch_size = 4096

        def batch_loss_and_gradient(self, batch):
            if self.batch_sizes[-1] > 2:
                raise error
            return super().batch_loss_and_gradient(batch)

    task = Task()
    assert finish(task) == "done"
    assert task.batch_sizes[-1] == 2


def test_permanent_out_of_memory(Bowl, finish):
    class Task(Bowl):
        def batch_loss_and_gradient(self, batch):
            raise MemoryError("out of memory")

    assert "memory ran out 20 times in a row: MemoryError" in finish(Task())


def test_out_of_memory_frees_buffers_before_samples(Bowl, finish, monkeypatch):
    """Best weights on an accelerator can be moved to the host."""
    spared = iter([True])
    monkeypatch.setattr(policy.driver.rescue.Rescue, "_spare", lambda _: next(spared, False))

    class Task(Bowl):
        def batch_loss_and_gradient(self, batch):
            if len(self.batch_sizes) < 3:
                raise MemoryError
            return super().batch_loss_and_gradient(batch)

    task = Task()
    assert finish(task) == "done"
    assert task.batch_sizes[:3] == [8, 8, 4]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_in_the_update(Bowl, finish, monkeypatch, error):
    """Memory runs out outside of the oracle, after the moments have moved."""
    calls = []

    def step(*arguments):
        carry = learned_step_(*arguments)
        calls.append(carry)
        if len(calls) in (1, 7, 8, 9, 40):
            raise error
        return carry

    monkeypatch.setattr(policy.rule.stepper, "learned_step_", step)
    task = Bowl(calls=600)
    assert finish(task) == "done"
    assert task.batch_sizes[-1] == 1


def test_occasional_out_of_memory_in_updates(Bowl, finish, monkeypatch):
    """In total it happens more often than is allowed in a row."""
    calls = []

    def step(*arguments):
        calls.append(None)
        if len(calls) % 3 == 0 and len(calls) < 90:
            raise MemoryError
        return learned_step_(*arguments)

    monkeypatch.setattr(policy.rule.stepper, "learned_step_", step)
    assert finish(Bowl(calls=600)) == "done"


@pytest.mark.parametrize("at", range(1, 14))
def test_out_of_memory_once_at_any_call(Bowl, finish, at):
    """One case is between two batches whose gradients are compared to choose the batch size."""

    class Task(Bowl):
        default_batch_size = 64

        def train_iterator(self, batch_size, shuffle):
            super().train_iterator(batch_size, shuffle)
            return range(1000)

        def batch_loss_and_gradient(self, batch):
            time.sleep(1e-3)  # another size might pay
            if 300 - self.calls == at and not self.failed:
                self.failed = True
                raise MemoryError
            return super().batch_loss_and_gradient(batch)

        failed = False

    task = Task()
    assert finish(task) == "done"
    assert task.failed


def test_out_of_memory_in_every_update(Bowl, finish, monkeypatch):
    def step(*arguments):
        raise MemoryError("out of memory")

    monkeypatch.setattr(policy.rule.stepper, "learned_step_", step)
    assert "memory ran out 20 times in a row" in finish(Bowl())


def test_size_without_memory_is_not_retried_after_another_failure(Bowl, finish):
    class Task(Bowl):
        failed = False

        def batch_loss_and_gradient(self, batch):
            if self.batch_sizes[-1] > 4:
                raise MemoryError
            if not self.failed:
                self.failed = True
                raise RuntimeError("the hidden state is of another size")
            return super().batch_loss_and_gradient(batch)

    task = Task()
    assert finish(task) == "done"
    assert task.failed and task.batch_sizes[:3] == [8, 4, 4] and set(task.batch_sizes[1:]) == {4}


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_in_a_test(Bowl, finish, error):
    class Task(Bowl):
        def test(self, state):
            if len(self.tested) == 1 and not self.failed:
                self.failed = True
                state[0].fill_(9.0)
                raise error
            return super().test(state)

        failed = False

    task = Task(calls=3000)
    assert finish(task) == "done"
    assert task.failed


def test_out_of_memory_in_every_test(Bowl, finish):
    class Task(Bowl):
        def test(self, state):
            state[0].fill_(9.0)
            raise MemoryError("out of memory")

    task = Task(calls=3000)
    assert "memory ran out 10 times in a row" in finish(task)
    assert all((p == 0).all() for p in task.state), "nothing was tested: the start is the best"


def test_forward_pass_that_always_fails(Bowl, finish):
    """Statistics can't be renewed then, but training continues."""

    class Task(Bowl):
        def batch_loss(self, batch):
            raise RuntimeError("no forward pass")

        def batch_loss_and_gradient(self, batch):
            self.batch_loss = self.true_loss_of
            result = super().batch_loss_and_gradient(batch)
            del self.batch_loss
            return result

        def true_loss_of(self, batch):
            return self.true_loss()

    assert finish(Task()) == "done"


# ---- tests and targets


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_test_loss_always_nan(Bowl, finish, value):
    class Task(Bowl):
        def test(self, state):
            return value

    assert finish(Task()) == "limit"


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        (0.0, "limit"),
        (-1.0, "limit"),
        (-math.inf, "limit"),
        (math.nan, "task.target_test_loss is NaN: give the test loss to reach"),
        (None, "task.target_test_loss is None: give the test loss to reach"),
        (math.inf, "done"),
        (torch.tensor(0.01), "done"),
    ],
)
def test_unusual_targets(Bowl, finish, target, outcome):
    class Task(Bowl):
        target_test_loss = target

    assert finish(Task()) == outcome
