"""Fixed budgets: each network trains with each optimizer, and tables show who wins."""

import json

import pytest
import torch
from absent import or_skip

from benchmarks import fixed_budgets, practice
from benchmarks.networks import Kind
from benchmarks.networks.data import classification, squared_error
from benchmarks.practice import optimizers, run
from benchmarks.practice.jobs import best
from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import OPTIMIZERS, in_float32
from benchmarks.practice.run import accuracy
from benchmarks.practice.tables import reached, table
from benchmarks.results import append


def made(network):
    return or_skip(NETWORKS[network].make, 1)


@pytest.fixture
def line(monkeypatch):
    """Replace the GPT by a linear network with batch norm."""

    def make(width):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(64, 4, generator=generator)
        data = x, 3 + x @ torch.ones(4, 1)
        hidden = torch.nn.Linear(4, 8 * width), torch.nn.BatchNorm1d(8 * width)
        model = torch.nn.Sequential(*hidden, torch.nn.Linear(8 * width, 1))
        return Kind(model, data, data, squared_error, 16, outer=[model[2].weight])

    monkeypatch.setitem(NETWORKS, "gpt", NETWORKS["gpt"]._replace(make=make, steps=60))


def job(**changes):
    usual = {"network": "gpt", "optimizer": "adamw", "setting": "1e-3", "seed": 0}
    return {**usual, "budget": 1, "width": 1, **changes}


def backward(kind, batch):
    """Return the loss of a batch, and leave its gradient in the model."""
    loss = kind.loss(kind.model, *batch)
    loss.backward()
    return loss


@pytest.mark.parametrize("network", NETWORKS)
def test_network_overfits_its_batch(network):
    torch.manual_seed(0)
    kind = made(network)
    ids = {id(weight) for weight in kind.model.parameters()}
    assert ids >= {id(weight) for weight in kind.outer}
    batch = tuple(tensor[:8] for tensor in kind.train)
    optimizer = torch.optim.Adam(kind.model.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        torch.manual_seed(1)  # for noise and dropout
        optimizer.zero_grad()
        losses.append(backward(kind, batch).item())
        assert all(weight.grad is not None for weight in kind.model.parameters())
        optimizer.step()
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizer_lowers_the_test_loss_and_repeats_exactly(line, optimizer):
    settings = {"optimizer": optimizer, "setting": OPTIMIZERS[optimizer].grid[-1]}
    (row,) = run.measure(job(**settings))
    curve = row["curve"]
    assert len(curve["loss"]) == len(curve["step"]) == run.TESTS and curve["step"][-1] == 60
    assert curve["loss"][-1] < 14  # 13 for constant zero
    assert curve["seconds"] == sorted(curve["seconds"]) and curve["seconds"][0] > 0
    (again,) = run.measure(job(**settings))
    assert again["curve"]["loss"] == curve["loss"]
    assert row["accuracy"] is None and row["step_over_adamw"] > 0
    # One bias may have no state.
    least = {"muon": 1, "learned": 3, "annealed": 3}.get(optimizer, 2)
    assert 64 / 65 * least <= row["state"] / 4 < 20


def test_budget_and_width_are_factors(line):
    (row,) = run.measure(job(budget=2, width=3))
    assert row["steps"] == 120 == row["curve"]["step"][-1]
    assert row["weights"] == 24 * 5 + 48 + 25


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_newton_schulz_in_float32_equals_torchs_up_to_rounding(shape):
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    settings = (3.4445, -4.775, 2.0315), 5, 1e-7
    expected = optimizers._muon._zeropower_via_newtonschulz(gradient, *settings).float()
    found = in_float32(gradient, *settings)
    assert (found - expected).norm() < 0.02 * expected.norm()
    assert 0.6 < torch.linalg.svdvals(found).min() and torch.linalg.svdvals(found).max() < 1.3


def test_muon_treats_filters_as_matrices_and_leaves_outer_weights_to_adamw():
    kind = made("resnet")
    trainer = OPTIMIZERS["muon"].make(kind, 10, "0.01")
    assert not {id(weight) for weight in kind.outer} & {id(weight) for weight in trainer.hidden}
    before = [weight.clone() for weight in kind.model.parameters()]
    trainer.step(backward(kind, [tensor[:8] for tensor in kind.train]))
    pairs = zip(before, kind.model.parameters(), strict=True)
    assert not any(torch.equal(*pair) for pair in pairs)


def test_accuracy_is_the_share_that_a_classifier_gets_right():
    model = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.eye_(model.weight)
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [2.0, 5.0]])
    data = x, torch.tensor([0, 1, 1, 1])
    kind = Kind(model, data, data, classification, test_batch=3)
    assert accuracy(kind) == 0.75
    assert accuracy(kind._replace(loss=squared_error)) is None


def fake(optimizer, setting, losses, seed=0, seconds=1.0):
    steps = list(range(10, 10 * len(losses) + 1, 10))
    curve = {"step": steps, "seconds": [seconds * step for step in steps], "loss": losses}
    row = job(optimizer=optimizer, setting=setting, seed=seed, policy=None)
    row |= {"steps": steps[-1], "weights": 1_000, "state": 12.0, "accuracy": 0.5}
    origin = {"cpu": "a CPU", "torch": "2", "commit": "abc"}
    return {**row, "step_over_adamw": seconds, "curve": curve, **origin}


def test_loss_is_reached_between_two_tests():
    assert reached(fake("learned", "default", [4.0, 2.0, 1.0]), 3.0) == 15
    assert reached(fake("learned", "default", [4.0, 2.0, 1.0]), 5.0) == 10
    assert reached(fake("learned", "default", [4.0, None, 1.0]), 1.5) == 30
    assert reached(fake("learned", "default", [4.0, None, 1.0]), 0.5) is None


def test_diverged_run_is_never_best():
    runs = {"high": [fake("adamw", "high", [1.0, None])], "low": [fake("adamw", "low", [3.0, 2.0])]}
    assert best(runs) == "low"


def grid(optimizer):
    """Return runs of the first seed with equal losses, except that the last setting is best."""
    settings = OPTIMIZERS[optimizer].grid
    return [fake(optimizer, one, [4.0, 2.0 + (one != settings[-1])]) for one in settings]


def measured():
    """Return runs of AdamW on three seeds, Muon on one, and LearnedLR on three.

    LearnedLR has half the loss and is twice as slow.
    """
    rows = grid("adamw") + grid("muon")
    rows += [fake("adamw", OPTIMIZERS["adamw"].grid[-1], [4.0, 2.0], seed) for seed in (1, 2)]
    return rows + [fake("learned", "default", [2.0, 1.0], seed, 2.0) for seed in range(3)]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_tables_compare_the_best_settings_on_the_seeds_that_both_have():
    lines = table({"rows": json.loads(json.dumps(measured()))}).splitlines()
    usual = "0.50 (0.50 to 0.50)", "2.00 (2.00 to 2.00)", "1.00 (1.00 to 1.00)"
    assert cells(lines[2]) == ["AdamW, cosine", "0.50", "0.50", "1 of 1", "2.00", "1.00", "1.00"]
    assert cells(lines[3])[0] == "Muon, cosine"
    assert cells(lines[7])[0] == "**GPT, characters** (1,000 weights, 20 steps)"
    ours, adamw, muon = (cells(line) for line in lines[8:11])
    assert ours == ["LearnedLR", "default", "3", "1", "0.500", "", "", "", "2.00", "3.0"]
    assert adamw[:5] == ["AdamW, cosine", "3e-2 (the highest of 5)", "3", "2", "0.500"]
    assert adamw[5:] == [*usual, "1.00", "3.0"]
    assert muon[1:3] == ["0.03 (the highest of 3)", "1"] and muon[5:8] == ["0.50", "2.00", "1.00"]
    assert "commit abc" in lines[-1]


def test_table_shows_unreached_losses_and_missing_runs():
    rows = measured()
    assert table({"rows": rows[:-3]}).startswith("No network has runs of LearnedLR")
    slow = [fake("learned", "default", [5.0, loss], seed) for seed, loss in enumerate([1, 3, 3])]
    shown = table({"rows": rows[:-3] + slow})
    assert "1 of 3 reach it" in shown and "| 0 of 1 |" in shown


def test_runs_of_an_earlier_policy_do_not_count():
    rows = [{**fake("learned", "default", [9.0, 9.0]), "policy": "old"}, *measured()]
    assert table({"rows": rows}) == table({"rows": measured()})


def test_readme_counts_networks_and_draws_each_optimizer():
    text = fixed_budgets.table({"rows": measured()})
    assert text.splitlines()[0].endswith(
        "AdamW, cosine on 1 of 1 and Muon, cosine on 1 of 1 networks."
    )
    figure = fixed_budgets.figure({"rows": measured()})
    assert [len(panel.lines) for panel in figure.axes] == [4]  # three curves and the loss to reach
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["LearnedLR", "Muon, cosine", "AdamW, cosine"]


def test_other_seeds_use_the_first_seeds_choice(tmp_path):
    out = tmp_path / "runs.jsonl"
    settings = practice.Settings(out=out, networks=("gpt",), optimizers=("adamw",), seeds=2)
    whole = [(setting, 0) for setting in OPTIMIZERS["adamw"].grid]
    jobs = practice.jobs(settings)
    assert [(one["setting"], one["seed"]) for one in jobs] == whole
    for row in grid("adamw"):
        append(out, row)
    jobs = practice.jobs(settings)
    assert [(one["setting"], one["seed"]) for one in jobs] == [*whole, ("3e-2", 1)]
    assert {practice.key(one) for one in jobs[:5]} == {practice.key(one) for one in grid("adamw")}


def test_runs_of_learned_lr_are_keyed_by_policy(tmp_path):
    jobs = practice.jobs(practice.Settings(seeds=2, out=tmp_path / "none.jsonl"))
    assert len({practice.key(one) for one in jobs}) == len(jobs) == 6 * (18 + 2)
    known = {one["optimizer"] for one in jobs if one["policy"] is not None}
    assert known == {"learned", "annealed"}
