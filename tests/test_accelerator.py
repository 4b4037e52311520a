"""The GPU path on a simulated accelerator (support/accelerator.py).

Nothing is computed across devices, little waits, and the results are the CPU's.
"""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from accelerator import DEVICE, Accelerator

from evaluate.outcomes import Outcome
from evaluate.run.process import Job
from evaluate.run.verify import confirms, fresh_test_losses
from evaluate.run.worker import run as run_job
from metalearn.config import Config
from metalearn.episodes import Pool, build_pools
from metalearn.evaluation import SCORING, Evaluation
from metalearn.graph import Graphed, graphed
from metalearn.inner import InnerProblem
from metalearn.pes import PES
from metalearn.shard import Shard
from metalearn.trainer import Trainer
from policy.driver.batch_size import SETTLING, TIMED
from policy.driver.learner import Learner
from policy.driver.run import run as drive
from policy.optimizer import LearnedLR
from policy.rule.copies import copy_each
from policy.rule.layout import Layout
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.precision import SETTINGS
from policy.rule.spec import Spec
from policy.rule.weights import flatten, initial_weights
from tasks import (
    TRAINING_FAMILIES,
    BatchedTask,
    Done,
    adam_curves,
    build_task,
    sample_group,
)
from tasks.suites import SUITES, suite
from tasks.suites.targets import measure

TRAIN = Path(__file__).parents[1] / "train.py"
SPEC = Spec()
WEIGHTS = initial_weights(SPEC, 0)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def on_both(function):
    """Return `function(device)` on the CPU and on the accelerator."""
    expected = function("cpu")
    with Accelerator():
        return expected, function(DEVICE)


def count_waits():
    """Return the number of waits so far, 0 on the CPU."""
    return len(Accelerator.running.waits) if Accelerator.running else 0


class TestTheStandIn:
    def test_refuses_tensors_and_generators_of_two_devices(self):
        with Accelerator():
            there = torch.ones(3, device=DEVICE)
            assert (there + torch.tensor(1.0)).tolist() == [2.0, 2.0, 2.0]  # like torch
            for call in (
                lambda: there + torch.ones(3),
                lambda: there @ torch.ones(3),
                lambda: torch.rand(3, generator=torch.Generator(), device=DEVICE),
                lambda: torch.rand(3, generator=torch.Generator(DEVICE)),
            ):
                with pytest.raises(RuntimeError, match="same device"):
                    call()

    def test_counts_waits_and_forbids_them_in_a_recording(self):
        with Accelerator() as accelerator:
            there = torch.ones(3, device=DEVICE)
            assert not accelerator.waits
            waits = (there.sum().item, lambda: there[there > 0], there.cpu, lambda: bool(there[0]))
            for count, wait in enumerate(waits, 1):
                wait()
                assert len(accelerator.waits) == count
                with torch.cuda.graph(torch.cuda.CUDAGraph()):
                    with pytest.raises(RuntimeError, match="capturing"):
                        wait()

    def test_graph_repeats_what_was_recorded(self):
        with Accelerator():
            there, twice = torch.ones(3, device=DEVICE), torch.zeros(3, device=DEVICE)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                there.view(3, 1).mul_(2)
                twice.copy_(there + there)
            there.fill_(5.0)
            graph.replay()
            assert there.tolist() == [10.0] * 3 and twice.tolist() == [20.0] * 3

    def test_pool_without_recordings_is_freed(self):
        def record():
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=torch.cuda.graph_pool_handle()):
                torch.ones(3, device=DEVICE).mul_(2)
            return graph

        with Accelerator():
            graphs = [record()]
            graphs.append(record())
            graphs.clear()
            with pytest.raises(RuntimeError, match="INTERNAL ASSERT FAILED"):
                record()


@pytest.mark.parametrize("family", TRAINING_FAMILIES)
def test_recorded_group_has_the_cpus_losses(family):
    """Inner steps wait for nothing, or recording them would fail."""
    theta = flatten(SPEC, WEIGHTS)

    def losses(device):
        pool = Pool(sample_group(family, 1, 2), 10, 20, 0, device)
        generator = torch.Generator(device).manual_seed(1)
        problem = InnerProblem(pool, SPEC, 2, SPEC.stride, Shard(), generator, meta_loss="time")
        estimator = PES(problem, len(theta), 0.03, Shard(), generator)
        assert isinstance(problem.advance, Graphed) == (device is DEVICE)
        first, begun = estimator.estimate(theta), count_waits()
        second, waits = estimator.estimate(theta), count_waits() - begun
        # To the device: the policy's weights, constants of new episodes. Back: how many ended.
        assert waits == (3 if device is DEVICE else 0)
        return torch.cat([first.losses.cpu(), second.losses.cpu()])

    here, there = on_both(losses)
    torch.testing.assert_close(there, here, **CLOSE)


def test_recorded_curves_equal_the_cpus():
    """Each step waits once, to send its samples.

    The factors of all steps are sent at once, and so are the numbers of the tested steps.
    """
    steps = 30

    def curves(device):
        task = BatchedTask(sample_group("cnn", 1, 2), device)
        begun = count_waits()
        found = adam_curves(task, [0, 10, steps], 0, graphed)
        assert count_waits() - begun == (steps + 2 if device is DEVICE else 0)
        return torch.stack([found.own, found.averaged]).cpu()

    here, there = on_both(curves)
    torch.testing.assert_close(there, here, **CLOSE)


@pytest.fixture
def config(tmp_path):
    return Config(
        out=tmp_path,
        families=("mlp",),
        groups=1,
        variants=2,
        pairs=2,
        shortest=5,
        longest=10,
        truncation=5,
        steps=3,
        warm_start=1,
        renew_every=1,
        checkpoint_every=1,
        evaluate_every=0,
    )


def test_interrupted_run_equals_an_undisturbed_one(config, tmp_path):
    def trainer(out):
        own = dataclasses.replace(config, out=tmp_path / out)
        return Trainer(own, build_pools(own, DEVICE, 0, Shard()), Shard())

    class Killed(Exception):
        pass

    def kill(record):
        if record.step == 2:
            raise Killed

    with Accelerator():
        undisturbed = trainer("undisturbed")
        undisturbed.run(lambda record: None)
        with pytest.raises(Killed):
            trainer("killed").run(kill)
        resumed = trainer("killed")
        assert resumed.outer.step == 1
        resumed.run(lambda record: None)
        assert torch.equal(resumed.outer.average, undisturbed.outer.average)
        evaluation = Evaluation(config, resumed.spec, SCORING._replace(episodes=2), DEVICE, Shard())
        assert evaluation.scores(resumed.outer.average)[0].speedup > 0


@pytest.mark.parametrize("name", SUITES["validation"])
def test_single_tasks_have_the_cpus_gradients(name):
    def answers(device):
        task = build_task(SUITES["validation"][name].variant, device)
        torch.manual_seed(0)
        batch = next(iter(task.train_iterator(batch_size=4, shuffle=True)))
        loss, gradients = task.batch_loss_and_gradient(batch)
        return [torch.as_tensor(loss).cpu(), *(gradient.cpu() for gradient in gradients)]

    here, there = on_both(answers)
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(other, one, **CLOSE)


class Regression:
    """A task whose oracles return tensors on the network's device."""

    default_batch_size, target_test_loss = 32, 0.02

    def __init__(self, device, width):
        torch.manual_seed(0)
        sizes = (8, width), (width, width), (width, 1)
        layers = [layer for size in sizes for layer in (torch.nn.Linear(*size), torch.nn.Tanh())]
        self.model = torch.nn.Sequential(*layers[:-1]).to(device)
        self.state = [p.data for p in self.model.parameters()]
        self.x = torch.randn(640, 8, generator=torch.Generator().manual_seed(1)).to(device)
        self.y = self.x[:, :1].sin()
        self.waits, self.tests = [], []

    def train_iterator(self, batch_size, shuffle):
        # Without length, so the batch size doesn't follow the clock.
        return zip(self.x.split(batch_size), self.y.split(batch_size), strict=True)

    def loss(self, x, y):
        return (self.model(x) - y).square().mean()

    @torch.no_grad()
    def batch_loss(self, batch):
        return self.loss(*batch)

    def batch_loss_and_gradient(self, batch):
        self.waits.append(count_waits())
        loss = self.loss(*batch)
        return loss.detach(), torch.autograd.grad(loss, list(self.model.parameters()))

    @torch.no_grad()
    def test(self, state):
        outputs = torch.func.functional_call(
            self.model, dict(zip(dict(self.model.named_parameters()), state, strict=True)), self.x
        )
        self.tests.append((outputs - self.y).square().mean().item())
        if self.tests[-1] < self.target_test_loss:
            raise Done
        return self.tests[-1]


def test_driver_waits_once_per_stride(monkeypatch):
    monkeypatch.setattr("policy.driver.learner.BLOCK", math.inf)

    def drive_to_target(device):
        # At this size the CPU inverts Gram matrices, and an accelerator multiplies them.
        task = Regression(device, 128)
        with pytest.raises(Done):
            drive(task, SPEC._replace(base_rate=5e-3), WEIGHTS)
        return task

    here, there = on_both(drive_to_target)
    assert there.tests[-1] < there.target_test_loss
    assert len(there.waits) < 1.2 * len(here.waits) + SPEC.stride
    # These wait: tests, the check of five buffers before each, and the first steps (timed).
    waits, steps = there.waits[-1] - there.waits[1], len(there.waits)
    assert waits <= steps // SPEC.stride + SETTLING + TIMED + 9 * len(there.tests)


def test_non_finite_loss_does_not_reach_the_controller():
    """The loss is read after its step; the controller then sees the last finite loss again."""

    def train(device, odd):
        task = Regression(device, 16)
        learner, losses = Learner(task, SPEC, WEIGHTS), []
        for step, batch in enumerate(task.train_iterator(32, True)):
            loss, gradients = task.batch_loss_and_gradient(batch)
            losses.append(loss)
            if step in (7, 8):
                loss = losses[6] if odd is None else torch.full_like(loss, odd)
            learner.step(loss, gradients)
        return learner.carry.signal, learner.rates()

    signal, rates = train("cpu", None)
    for odd in (math.nan, math.inf):
        with Accelerator():
            found, there = train(DEVICE, odd)
            assert [float(value) for value in found] == pytest.approx(list(signal), rel=1e-3)
        assert there == pytest.approx(rates, rel=1e-2)


def test_non_finite_first_losses_are_left_out(monkeypatch):
    """They affect neither the weights nor what the controller sees.

    After as many good batches, both equal those of a run without bad batches.
    """

    def driven(device, bad):
        task, learners = Regression(device, 16), []
        task.target_test_loss = 0.0
        monkeypatch.setattr("policy.driver.tester.Tester.is_due", lambda tester: False)

        def made(*arguments):
            learners.append(Learner(*arguments))
            return learners[0]

        monkeypatch.setattr("policy.driver.run.Learner", made)
        oracle = task.batch_loss_and_gradient

        def first_are_nan(batch):
            if len(task.waits) == bad + 3 * SPEC.stride:
                raise KeyboardInterrupt
            loss, gradients = oracle((task.x[:32], task.y[:32]))
            return (loss * math.nan if len(task.waits) <= bad else loss), gradients

        task.batch_loss_and_gradient = first_are_nan
        with pytest.raises(KeyboardInterrupt):
            drive(task, SPEC, WEIGHTS)
        (learner,) = learners
        assert learner.steps == 3 * SPEC.stride
        seen = [*learner.carry.signal, *learner.rates(), *map(torch.norm, learner.live)]
        return torch.tensor([float(value) for value in seen])

    torch.testing.assert_close(driven("cpu", 2), driven("cpu", 0))
    torch.testing.assert_close(*on_both(lambda device: driven(device, 2)), rtol=1e-2, atol=1e-3)


def test_best_weights_can_be_on_the_host(monkeypatch):
    """The accelerator may have no room for them."""
    monkeypatch.setattr("policy.driver.learner.duplicate", lambda tensor: tensor.cpu())
    with Accelerator():
        task = Regression(DEVICE, 16)
        task.target_test_loss = 0.0
        monkeypatch.setattr(task, "batch_loss_and_gradient", _failing_at(200, task))
        with pytest.raises(RuntimeError, match="out of order"):
            drive(task, SPEC, WEIGHTS)
        found = (task.model(task.x) - task.y).square().mean().item()
    assert len(task.tests) > 1 and found == pytest.approx(min(task.tests), rel=1e-3)


def _failing_at(count, task):
    """Return the task's oracle, which raises from a number of calls on."""
    oracle = task.batch_loss_and_gradient

    def call(batch):
        if len(task.waits) >= count:
            raise RuntimeError("out of order")
        return oracle(batch)

    return call


def test_number_of_kernels_does_not_grow_with_tensors():
    def kernels(vectors):
        task = Regression(DEVICE, 16)
        task.state = [torch.zeros(4, 4, device=DEVICE)]
        task.state += [torch.zeros(4, device=DEVICE) for _ in range(vectors)]
        learner = Learner(task, SPEC, WEIGHTS)
        made = []
        for _ in range(3):
            begun = Accelerator.running.kernels
            learner.step(1.0, [torch.ones_like(state) for state in task.state])
            made.append(Accelerator.running.kernels - begun - len(task.state))
        return made

    with Accelerator():
        few, many = kernels(2), kernels(30)
    assert few == many and few[2] < 60


def test_matrices_are_not_divided_on_the_accelerator():
    def sides(device):
        task = Regression(device, 100)
        learner = Learner(task, SPEC, WEIGHTS)
        learner.divide()
        return set(learner.layout.alike)

    assert on_both(sides) == ({1, 8, 50}, {1, 8, 100})


def test_products_are_coarse_off_the_cpu(monkeypatch):
    matmul, multiply, seen = torch.backends.cuda.matmul, torch.bmm, []
    name, coarse = next(setting for setting in SETTINGS if hasattr(matmul, setting[0]))

    def noted(*factors):
        seen.append(getattr(matmul, name))
        if len(seen) == 3:
            raise RuntimeError("out of order")
        return multiply(*factors)

    def direction(device):
        layout = Layout([(3, 4)], device=device)
        gradient = layout.pack([torch.ones(3, 4).to(device)])
        orthogonal_direction(layout, torch.zeros_like(gradient), gradient)

    before = getattr(matmul, name)
    monkeypatch.setattr(torch, "bmm", noted)
    direction("cpu")
    with Accelerator(), pytest.raises(RuntimeError, match="out of order"):
        direction(DEVICE)
    assert seen == [before, before, coarse] and getattr(matmul, name) == before


def test_tensors_that_share_memory_get_the_last_copy():
    with Accelerator():
        shared = torch.zeros(3, device=DEVICE)
        ones, twos = torch.ones(3, device=DEVICE), torch.full((3,), 2.0, device=DEVICE)
        copy_each([(shared, ones), (shared.view(3), twos)])
        assert shared.tolist() == [2.0] * 3
        one, other = torch.zeros(3, device=DEVICE), torch.zeros(3, device=DEVICE)
        begun = Accelerator.running.kernels
        copy_each([(one, ones), (other, twos)])
        assert Accelerator.running.kernels == begun + 1
        half = torch.zeros(3, device=DEVICE, dtype=torch.float16)
        begun = Accelerator.running.kernels
        copy_each([(half, ones), (other, twos)])
        assert Accelerator.running.kernels == begun + 2, "types that are mixed go one by one"
        assert half.tolist() == [1.0] * 3
        assert (one.tolist(), other.tolist()) == ([1.0] * 3, [2.0] * 3)


def test_learned_lr_makes_the_cpus_steps_without_waiting():
    def trained(device):
        task = Regression(device, 16)
        optimizer = LearnedLR(task.model.parameters())
        scheduler, waits = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99), []
        for _ in range(2 * SPEC.stride):
            loss = task.loss(task.x, task.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(loss)
            scheduler.step()
            waits.append(count_waits())
        assert waits[-1] == waits[0]
        optimizer.eval()
        state = optimizer.state_dict()
        assert all(tensor.device.type == "cpu" for tensor in state["carry"])
        optimizer.load_state_dict(state)
        return [p.detach().cpu() for p in task.model.parameters()]

    here, there = on_both(trained)
    for one, other in zip(here, there, strict=True):
        # The orthogonal direction magnifies the rounding of small singular values.
        torch.testing.assert_close(other, one, rtol=1e-3, atol=5e-4)


def test_learned_lr_refuses_a_model_that_was_moved():
    with Accelerator():
        model = torch.nn.Linear(3, 2)
        optimizer = LearnedLR(model.parameters())
        model.to(DEVICE)
        for call in (lambda: optimizer.step(torch.tensor(1.0)), optimizer.eval):
            with pytest.raises(RuntimeError, match="make it after model.to"):
                call()


def test_learned_lr_is_not_recorded_in_a_graph():
    with Accelerator():
        task = Regression(DEVICE, 16)
        optimizer = LearnedLR(task.model.parameters())
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            with pytest.raises(RuntimeError, match="record the model"):
                optimizer.step(torch.zeros(()))


def test_submission_reaches_a_target_under_evaluation(tmp_path):
    variant = suite("development")["mlp"]
    job = Job(
        submission=str(TRAIN),
        variant=variant.to_dict(),
        seed=0,
        limit_seconds=100.0,
        device=DEVICE.type,
        threads=1,
        folder=str(tmp_path),
    )
    assert not job.is_apart  # calls across processes would have to wait
    with Accelerator():
        report, snapshot = run_job(job, lambda: build_task(variant, DEVICE))
        assert report["outcome"] is Outcome.REACHED
        losses = fresh_test_losses(lambda own: build_task(own, DEVICE), variant, snapshot)
    assert confirms(losses, variant.target)


def test_targets_are_measured():
    pair = SUITES["development"]["mlp"]._replace(epochs=1)
    here, there = on_both(lambda device: measure(pair, device=str(device)))
    assert there["losses"] == pytest.approx(here["losses"], abs=1e-3)
