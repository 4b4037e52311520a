"""Each peer learns through the real interface, and equals its package's optimizer."""

import contextlib
import dataclasses
import importlib.util
import math
from importlib import resources

import pytest
import torch

from evaluate import peers
from evaluate.errors import InputError
from evaluate.peers import common, find_peers, peer_names
from evaluate.peers.common import Average, cosine
from evaluate.run.hidden import hidden_matrices
from evaluate.run.submissions import find_submissions
from evaluate.submission import load
from policy.optimizer import LearnedLR
from tasks import Done, Variant, build_task

GIVEN = {"horizon": 120, "learning_rate": 4e-3, "cosine": 0.5, "hidden": [2]}
#: Convolutions, matrices, vectors, and batch-norm statistics that must follow the weights.
DIGITS = Variant("cnn", "digits", arch={"norm": "batch"}, batch_size=64, seed=3, target=1e-9)
#: Peer -> a function of the weights that makes the optimizer it should equal.
PLAIN = {
    "adam_3e3": lambda w: torch.optim.Adam(w, lr=3e-3),
    "sgd": lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9),
    "prodigy": lambda w: _package("prodigyopt").Prodigy(w),
    "dadapt_adam": lambda w: _package("dadaptation").DAdaptAdam(w),
    "dog": lambda w: _package("dog").DoG(w),
    "mechanic": lambda w: _package("mechanic_pytorch").mechanize(torch.optim.Adam)(w, lr=1.0),
    "soap": lambda w: _package("pytorch_optimizer").SOAP(w, lr=3e-3, weight_decay=0.0),
    "momo": lambda w: _package("momo").MomoAdam(w),
    "schedule_free_adamw": lambda w: _package("schedulefree").AdamWScheduleFree(w),
    "learned_lr": lambda w: LearnedLR(w),
}
TOLD_THE_LOSS = {"MomoAdam", "LearnedLR"}
SCHEDULED = {
    "adam_tuned": (lambda w: torch.optim.Adam(w, lr=4e-3), 60, 0),
    "nadamw": (
        lambda w: torch.optim.NAdam(
            w, 0.00175, (0.933, 0.9955), weight_decay=0.081, decoupled_weight_decay=True,
            momentum_decay=1e6,
        ), 120, 3,
    ),
    "sgd_cosine": (
        lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9, weight_decay=1e-4), 120, 0,
    ),
}  # fmt: skip


def _package(name):
    return importlib.import_module(name)


class Regression:
    """Mean squared error of a three-layer network on fixed data; tests use the live weights."""

    def __init__(self, batches=10, most_steps=10**9):
        generator = torch.Generator().manual_seed(5)
        self.x = torch.randn(64, 6, generator=generator)
        self.y = self.x @ torch.randn(6, 3, generator=generator)
        with torch.random.fork_rng():
            torch.manual_seed(7)
            self.network = torch.nn.Sequential(
                torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 8), torch.nn.Tanh(),
                torch.nn.Linear(8, 3),
            )  # fmt: skip
        self.parameters = list(self.network.parameters())
        self.state = [parameter.data for parameter in self.parameters]
        self.default_batch_size, self.target_test_loss = 16, 0.0
        self.batches, self.most_steps = batches, most_steps
        self.losses, self.trajectory, self.tested = [], [], []

    def flat(self):
        return torch.cat([parameter.detach().flatten() for parameter in self.parameters])

    def loss(self, batch):
        rows = slice(16 * (batch % 4), 16 * (batch % 4) + 16)
        return (self.network(self.x[rows]) - self.y[rows]).square().mean()

    def train_iterator(self, batch_size, shuffle):
        return range(self.batches)

    def batch_loss(self, batch):
        return float(self.loss(batch).detach())

    def batch_loss_and_gradient(self, batch):
        if len(self.trajectory) >= self.most_steps:
            raise Done
        loss = self.loss(batch)
        gradients = torch.autograd.grad(loss, self.parameters)
        self.trajectory.append(self.flat())
        self.losses.append(float(loss.detach()))
        return self.losses[-1], list(gradients)

    def test(self, state):
        self.tested.append(self.flat())
        return float((self.network(self.x) - self.y).square().mean().detach())


class Reusing:
    """A real task whose gradients share one storage, which is overwritten after use."""

    def __init__(self, task, most_steps):
        self._task, self._most_steps = task, most_steps
        self.state, self.default_batch_size = task.state, task.default_batch_size
        self.target_test_loss = task.target_test_loss
        self.train_iterator, self.batch_loss = task.train_iterator, task.batch_loss
        self._gradients = [torch.zeros_like(weight) for weight in task.state]
        self.test_losses, self.steps = [], 0

    def batch_loss_and_gradient(self, batch):
        if self.steps == self._most_steps:
            raise Done
        self.steps += 1
        for kept in self._gradients:
            kept.fill_(math.nan)
        loss, gradients = self._task.batch_loss_and_gradient(batch)
        for kept, gradient in zip(self._gradients, gradients, strict=True):
            kept.copy_(gradient)
        return loss, self._gradients

    def test(self, state):
        assert state is self.state
        self.test_losses.append(float(self._task.test(state)))
        return self.test_losses[-1]


@pytest.fixture(autouse=True)
def made_up_weights(tmp_path, monkeypatch):
    """Provide made-up weights for peers with published weights."""
    monkeypatch.setattr(peers, "CHECKPOINTS", tmp_path)
    if importlib.util.find_spec("msgpack"):
        celo_files = importlib.import_module("celo_files")
        for name in peers.PUBLISHED:
            tree = getattr(celo_files, name)()
            celo_files.write(tmp_path, name, celo_files.packed(tree))


def peer_module(name, **given):
    if lack := peers.lacks(name):
        pytest.skip(f"{name}: {lack[0]} is missing; {lack[1]}")
    found, _ = find_peers([name])
    module = load(found[0].path)
    module.given = {**found[0].given, **GIVEN, **given}
    return module


def run(module, steps):
    task = Regression(most_steps=steps)
    with contextlib.suppress(Done):
        module.train(task)
    return task


def direct(optimizer_of, steps, schedule_of=None):
    """Return the trajectory of a package's optimizer in an ordinary loop over `.grad`."""
    task, trajectory = Regression(), []
    optimizer = optimizer_of(task.parameters)
    if hasattr(optimizer, "train"):
        optimizer.train()
    schedule = schedule_of(optimizer) if schedule_of else None
    for step in range(steps):
        optimizer.zero_grad()
        loss = task.loss(step % 10)
        loss.backward()
        trajectory.append(task.flat())
        told = {"loss": loss.detach()} if type(optimizer).__name__ in TOLD_THE_LOSS else {}
        optimizer.step(**told)
        if schedule:
            schedule.step()
    return torch.stack(trajectory)


@pytest.mark.parametrize("name", peer_names())
def test_trains_a_real_task_in_place(name):
    torch.manual_seed(0)
    task = Reusing(build_task(DIGITS), most_steps=140)
    horizon = 140 * {"half": 2, "quarter": 4}.get(name.rpartition("_")[2], 1)
    module = peer_module(name, horizon=horizon, cosine=1.0, hidden=hidden_matrices(task._task))
    storage = [weight.data_ptr() for weight in task.state]
    first = float(task._task.test(task.state))
    with contextlib.suppress(Done):
        module.train(task)
    assert task.steps == 140
    assert [weight.data_ptr() for weight in task.state] == storage
    # Mechanic, DoG and Prodigy start from a tiny rate.
    task.test(task.state)  # peers with an average test by the clock, perhaps not at the end
    assert min(task.test_losses) < 0.95 * first, task.test_losses


@pytest.mark.parametrize("name", PLAIN)
def test_peer_equals_its_packages_optimizer(name):
    module = peer_module(name)
    # A test moves nothing, up to the rounding of weights that are swapped in and out.
    torch.testing.assert_close(torch.stack(run(module, 25).trajectory), direct(PLAIN[name], 25))


@pytest.mark.parametrize("name", SCHEDULED)
def test_peer_equals_the_scheduled_optimizer_and_stops_with_it(name):
    optimizer_of, steps, warm_up = SCHEDULED[name]
    task = run(peer_module(name), 10**9)
    expected = direct(optimizer_of, steps, lambda o: cosine(o, steps, warm_up))
    torch.testing.assert_close(torch.stack(task.trajectory), expected)
    assert len(task.trajectory) == steps and len(task.tested) == steps / 10


def test_muon_only_gets_hidden_matrices():
    module = peer_module("muon")
    shapes = [(9, 4), (4,), (5, 4, 3, 3), (5,), (5, 5), (2, 5)]
    muon, adam = module.groups([torch.zeros(shape) for shape in shapes], [2, 4])
    assert [tuple(w.shape) for w in muon["params"]] == [(5, 4, 3, 3), (5, 5)]
    assert [tuple(w.shape) for w in adam["params"]] == [(9, 4), (4,), (5,), (2, 5)]

    def optimizer(weights):
        return _package("pytorch_optimizer").Muon(module.groups(weights, [2]))

    trajectory = torch.stack(run(module, 25).trajectory)
    torch.testing.assert_close(trajectory, direct(optimizer, 25), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix, steps", [("", 120), ("_half", 60), ("_quarter", 30)])
@pytest.mark.parametrize("name", ["celo", "celo2"])
def test_learned_schedules_end_with_their_share_of_the_horizon(name, suffix, steps):
    task = run(peer_module(name + suffix), 10**9)
    assert len(task.trajectory) == steps and len(task.tested) == steps / 10


def test_celo2_only_gets_hidden_matrices():
    module = peer_module("celo2", hidden=[])
    trajectory = torch.stack(run(module, 10**9).trajectory)
    expected = direct(
        lambda w: torch.optim.Adam(w, lr=module.RATE, betas=(0.9, 0.95)),
        120,
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: module.factor(step, 120)),
    )
    torch.testing.assert_close(trajectory, expected)
    moved = run(peer_module("celo2"), 2).trajectory
    is_other = (moved[1] - trajectory[1]).abs() > 1e-7
    hidden = slice(16 * 6 + 16, 16 * 6 + 16 + 8 * 16)
    assert is_other[hidden].all() and is_other.sum() == 8 * 16


def test_annealing_clips_gradients_and_divides_the_rate_without_improvement():
    task = Regression()
    losses = iter([3.0, 2.0, 2.5, 1.0, math.nan, 1.0])
    task.test = lambda state: next(losses)
    peer_module("sgd_annealed", horizon=60).train(task)
    moves = torch.stack(task.trajectory).diff(dim=0).norm(dim=1)
    rates = [20, 20, 20, 5, 5, 1.25]  # for the ten steps before each test
    for epoch, rate in enumerate(rates):
        moved = moves[10 * epoch : 10 * epoch + 9]
        assert moved.max() <= 0.25 * rate * 1.001
    assert moves[:20].max() == pytest.approx(5.0, rel=1e-3), "no gradient was cut"
    assert len(task.trajectory) == 60 and next(losses, None) is None


def test_cosine_warms_up_and_decays_to_nothing():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule, rates = cosine(optimizer, 1000, warm_up=20), []
    for _ in range(1001):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[9] == pytest.approx(0.5) and rates[19] == 1.0
    assert rates[510] == pytest.approx(0.5) and rates[1000] == 0.0
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_averaged_peer_trains_as_without_an_average():
    plain, averaged = run(peer_module("sgd"), 40), run(peer_module("sgd_averaged"), 40)
    torch.testing.assert_close(torch.stack(averaged.trajectory), torch.stack(plain.trajectory))


@pytest.mark.parametrize("name", ["sgd_averaged", "learned_lr"])
def test_averaged_weights_are_tested_after_ten_steps(name):
    task = run(peer_module(name), 40)
    # trajectory[k]: weights after k steps
    expected = task.trajectory[0]
    for t in range(1, 11):
        expected = expected + 10 / (t + 9) * (task.trajectory[t] - expected)
    torch.testing.assert_close(task.tested[0], expected)


def test_live_weights_are_restored_after_in_place_average():
    weights = [torch.ones(2)]
    average = Average(weights)
    weights[0].fill_(3.0)
    average.update()
    weights[0].fill_(5.0)
    with average.in_place():
        assert weights[0].tolist() == [3.0, 3.0]
    assert weights[0].tolist() == [5.0, 5.0]


def test_peer_without_its_horizon_says_so():
    module = peer_module("nadamw")
    module.given = {}
    with pytest.raises(ValueError, match="needs the baseline's number of steps; run it by --peers"):
        module.train(Regression())


@pytest.mark.parametrize("name", ["muon", "celo2"])
def test_peer_without_hidden_matrices_says_so(name):
    module = peer_module(name)
    module.given = {}
    with pytest.raises(ValueError, match="needs the places of hidden matrices; run it by --peers"):
        module.train(Regression())


@pytest.mark.parametrize("is_noisy, normalises", [(0, 0), (0, 1), (1, 0)])
def test_statistics_are_renewed_if_tests_depend_on_them(is_noisy, normalises):
    """They are not renewed if two tests differ only by noise."""
    task = Regression()
    passes, tests = [], []

    def test(state):
        tests.append(len(passes))
        return len(tests) * is_noisy + len(passes) * normalises

    task.test, task.batch_loss = test, passes.append
    tester = common.Tester(task, contextlib.nullcontext)
    tester.recent = ["one", "two"]
    for _ in range(3):
        tester.test()
    assert len(passes) == (6 if normalises else 2)
    assert len(tests) == (4 if not (is_noisy or normalises) else 5)


@pytest.mark.parametrize("name", ["sgd", "dog", "nadamw"])
def test_empty_epoch_is_reported(name):
    with pytest.raises(ValueError, match="has no batch"):
        peer_module(name).train(Regression(batches=0))


def test_peers_have_distinct_digests(monkeypatch):
    monkeypatch.setattr(peers, "lacks", lambda name: None)
    found, missing = find_peers(["all"])
    names = [peer.name for peer in found]
    assert names == peer_names() and not missing
    assert len({peer.sha256 for peer in found}) == len(names)
    assert {"sgd", "sgd_averaged", "adam_1e3_averaged", "adam_tuned", "dog"} <= set(names)
    assert not {"adam", "adam_1e3", "common", "dog_averaged"} & set(names)


def test_another_policy_makes_another_learned_peer(monkeypatch, tmp_path):
    (before,), _ = find_peers(["learned_lr"])
    (tmp_path / "policy.safetensors").write_bytes(b"another")
    found = resources.files
    monkeypatch.setattr(
        resources, "files", lambda name: tmp_path if name == "checkpoints" else found(name)
    )
    (after,), _ = find_peers(["learned_lr"])
    assert before.sha256 != after.sha256


def test_missing_package_is_skipped_in_all_and_named_on_request(monkeypatch):
    def find_spec(package):
        return None if package == "prodigyopt" else object()

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    found, missing = find_peers(["all"])
    assert missing == ["prodigy", "prodigy_averaged"]
    assert len(found) == len(peer_names()) - 2
    with pytest.raises(InputError, match=r"--peers prodigy: package prodigyopt is missing; inst"):
        find_peers(["prodigy"])
    with pytest.raises(InputError, match="--peers lion: no such peer; name some of all, adam_1e3"):
        find_peers(["lion"])


def test_peer_entered_as_a_submission_gets_no_hints():
    (peer,), _ = find_peers(["nadamw"])
    (submission,) = find_submissions([peer.path])
    assert peer.is_peer and not submission.is_peer
    assert dataclasses.replace(submission, is_peer=True).sha256 != peer.sha256
