"""Fixed budgets: every network trains under every optimizer, and tables say who is ahead."""

import json

import pytest
import torch

from benchmarks import practice
from benchmarks.practice import optimizers, run
from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import OPTIMIZERS, in_float32
from benchmarks.practice.tables import best, reached, table
from benchmarks.practice.workload import Workload, batches, validation_loss
from tasks import DataError


def made(network, width=1):
    try:
        return NETWORKS[network].make(width)
    except DataError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def line(monkeypatch):
    """A network that is a line with batch norm, in place of the GPT."""

    def make(width):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(64, 4, generator=generator)
        y = 3 + x @ torch.ones(4, 1)
        hidden = torch.nn.Linear(4, 8 * width), torch.nn.BatchNorm1d(8 * width)
        model = torch.nn.Sequential(*hidden, torch.nn.Linear(8 * width, 1))
        loss = lambda model, x, y: (model(x) - y).square().mean()  # noqa: E731
        return Workload(model, (x, y), (x, y), loss, [model[2].weight], 16)

    monkeypatch.setitem(NETWORKS, "gpt", NETWORKS["gpt"]._replace(make=make, steps=60))


def job(**changes):
    usual = {"network": "gpt", "optimizer": "adamw", "setting": "1e-3", "seed": 0}
    return {**usual, "budget": 1, "width": 1, **changes}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_learns_its_batch(network):
    torch.manual_seed(0)
    workload = made(network)
    ids = {id(weight) for weight in workload.model.parameters()}
    assert ids >= {id(weight) for weight in workload.outer}
    batch = tuple(tensor[:8] for tensor in workload.train)
    optimizer = torch.optim.Adam(workload.model.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        torch.manual_seed(1)  # of noise and dropout
        optimizer.zero_grad()
        loss = workload.loss(workload.model, *batch)
        loss.backward()
        assert all(weight.grad is not None for weight in workload.model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_optimizer_lowers_the_test_loss_and_repeats_exactly(line, optimizer):
    settings = {"optimizer": optimizer, "setting": OPTIMIZERS[optimizer].grid[-1]}
    (row,) = run.measure(job(**settings))
    curve = row["curve"]
    assert len(curve["loss"]) == len(curve["step"]) == run.TESTS and curve["step"][-1] == 60
    assert curve["loss"][-1] < 14  # a constant of zero has 13
    assert curve["seconds"] == sorted(curve["seconds"]) and curve["seconds"][0] > 0
    (again,) = run.measure(job(**settings))
    assert again["curve"]["loss"] == curve["loss"]
    least = {"muon": 1, "learned": 3}.get(optimizer, 2)  # but for the state of one bias
    assert 64 / 65 * least <= row["state"] / 4 < 20


def test_a_budget_and_a_width_are_factors(line):
    (row,) = run.measure(job(budget=2, width=3))
    assert row["steps"] == 120 == row["curve"]["step"][-1]
    assert row["weights"] == 24 * 5 + 48 + 25


def test_batches_are_those_of_the_seed(line):
    workload = made("gpt")
    first, second, other = (
        [batch[0] for batch, _ in zip(batches(workload, seed), range(6), strict=False)]
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.cat(first), torch.cat(second)) and not torch.equal(first[0], other[0])
    assert torch.equal(torch.cat(first[:4]).sort(0).values, workload.train[0].sort(0).values)


def test_testing_leaves_no_trace_in_the_random_numbers(line):
    workload = made("gpt")
    workload.model.eval()
    state = torch.get_rng_state()
    assert validation_loss(workload, 10) == pytest.approx(validation_loss(workload, 64))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_newton_schulz_in_float32_is_torchs_but_for_rounding(shape):
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    settings = (3.4445, -4.775, 2.0315), 5, 1e-7
    expected = optimizers._muon._zeropower_via_newtonschulz(gradient, *settings).float()
    found = in_float32(gradient, *settings)
    assert (found - expected).norm() < 0.02 * expected.norm()
    assert 0.6 < torch.linalg.svdvals(found).min() and torch.linalg.svdvals(found).max() < 1.3


def test_muon_moves_filters_as_matrices_and_leaves_the_outer_weights_to_adamw():
    workload = made("resnet")
    trainer = OPTIMIZERS["muon"].make(workload, 10, "0.01")
    assert all(id(weight) not in map(id, trainer.hidden) for weight in workload.outer)
    before = [weight.clone() for weight in workload.model.parameters()]
    batch = tuple(tensor[:8] for tensor in workload.train)
    loss = workload.loss(workload.model, *batch)
    loss.backward()
    trainer.step(loss)
    moved = [
        not torch.equal(a, b) for a, b in zip(before, workload.model.parameters(), strict=True)
    ]
    assert all(moved)


def fake(optimizer, setting, losses, seed=0, seconds=1.0):
    steps = list(range(10, 10 * len(losses) + 1, 10))
    curve = {"step": steps, "seconds": [seconds * step for step in steps], "loss": losses}
    row = job(optimizer=optimizer, setting=setting, seed=seed)
    origin = {"cpu": "a CPU", "torch": "2", "commit": "abc"}
    return {**row, "steps": steps[-1], "weights": 1_000, "state": 12.0, "curve": curve, **origin}


def test_a_loss_is_reached_between_two_tests():
    assert reached(fake("learned", "default", [4.0, 2.0, 1.0]), 3.0) == (15, 15)
    assert reached(fake("learned", "default", [4.0, 2.0, 1.0]), 5.0) == (10, 10)
    assert reached(fake("learned", "default", [4.0, None, 1.0]), 1.5) == (30, 30)
    assert reached(fake("learned", "default", [4.0, None, 1.0]), 0.5) is None


def test_a_run_that_diverged_is_nobodys_best():
    runs = {"high": [fake("adamw", "high", [1.0, None])], "low": [fake("adamw", "low", [3.0, 2.0])]}
    assert best(runs) == "low"


def test_the_table_compares_best_settings_and_leaves_out_what_is_not_whole():
    rows = [
        fake(optimizer, setting, [4.0, 2.0 + (setting != one.grid[-1])], seed)
        for optimizer, one in OPTIMIZERS.items()
        for setting in one.grid
        for seed in range(2)
        if optimizer != "learned"
    ]
    assert table({"rows": rows}) == "No network has runs of all optimizers yet."
    rows += [fake("learned", "default", [2.0, 1.0], seed, 2.0) for seed in range(2)]
    lines = table({"rows": json.loads(json.dumps(rows))}).splitlines()
    assert lines[2].startswith(
        "| GPT, characters; 1,000 weights, 20 steps | 1 | 2 (3e-2) | 2 (0.03)"
    )
    assert lines[6].startswith("| GPT, characters | 0.50 (0.50 to 0.50) |")
    assert lines[11] == "| GPT, characters | 2.00 | 1.00 | 2.00 | 1.00 | 2.00 | 3.0 / 3.0 |"
    assert "n = 2 seeds" in lines[-1] and "commit abc" in lines[-1]


def test_a_run_is_known_by_its_job():
    jobs = practice.jobs(practice.Settings(seeds=2))
    assert len({practice.key(one) for one in jobs}) == len(jobs) == 2 * 6 * 12
    assert [one["seed"] for one in jobs] == sorted(one["seed"] for one in jobs)
