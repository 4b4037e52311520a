"""LearnedLR makes the submission's steps, and behaves like a torch optimizer."""

import contextlib
import copy
import math
import pickle
import warnings

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from policy.blocks import CHEAP_BLOCK, TIMED_STEPS, UpdateTimer
from policy.checkpoint import Policy
from policy.driver.learner import Learner
from policy.optimizer import LearnedLR
from policy.rule.signal import RESTRAINTS
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

SPEC = Spec()


@pytest.fixture
def policy():
    weights = initial_weights(SPEC, 0)
    weights["head.weight"].uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    return Policy(SPEC, weights)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def batches(count, inputs=6):
    generator = torch.Generator().manual_seed(2)
    for _ in range(count):
        yield (
            torch.randn(16, inputs, generator=generator),
            torch.randint(3, (16,), generator=generator),
        )


def fit(model, optimizer, count, skip=0):
    losses = []
    for x, y in list(batches(count))[skip:]:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)
        losses.append(loss.item())
    return losses


class Wrapper:
    """Inherits the methods of the optimizer that it wraps, as Lightning's does."""

    def __init__(self, optimizer):
        self._optimizer = optimizer
        self.__class__ = type("Wrapped", (Wrapper, type(optimizer)), {})

    def __getattr__(self, name):
        return getattr(self._optimizer, name)


class Oracle:
    """The part of the challenge's interface that the learner uses, around a module."""

    default_batch_size, target_test_loss = 16, 0.0

    def __init__(self, model):
        self.model = model
        self.state = [p.data for p in model.parameters()]

    def batch_loss_and_gradient(self, batch):
        x, y = batch
        self.model.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        return loss.item(), [p.grad.data for p in self.model.parameters()]


@pytest.mark.parametrize("block", [None, 3])
def test_weights_equal_the_submissions(policy, block):
    model, other = network(), network()
    optimizer = LearnedLR(model.parameters(), policy=policy, block=block)
    fit(model, optimizer, 23)
    oracle = Oracle(other)
    learner = Learner(oracle, policy.spec, policy.weights)
    if block:
        learner.layout.divide(block)
    for batch in batches(23):
        learner.step(*oracle.batch_loss_and_gradient(batch))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        # One keeps step and loss as float32 tensors, the other as numbers. The orthogonal
        # direction magnifies the rounding of small singular values.
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert optimizer.rates() == pytest.approx(learner.rates(), rel=1e-4)


def test_blocks_change_the_steps(policy):
    whole, divided = network(), network()
    fit(whole, LearnedLR(whole.parameters(), policy=policy), 5)
    fit(divided, LearnedLR(divided.parameters(), policy=policy, block=3), 5)
    assert (whole[0].weight - divided[0].weight).abs().max() > 1e-3
    with pytest.raises(
        ValueError, match="block=0: give a number of rows from 1 on, 'auto' or None"
    ):
        LearnedLR(whole.parameters(), policy=policy, block=0)


@pytest.mark.parametrize(("saved", "given"), [(3, None), (None, 3)])
def test_state_with_other_blocks_is_refused(policy, saved, given):
    state = LearnedLR(network().parameters(), policy=policy, block=saved).state_dict()
    with pytest.raises(ValueError, match=f"saved with block={saved}: give LearnedLR that one"):
        LearnedLR(network().parameters(), policy=policy, block=given).load_state_dict(state)
    LearnedLR(network().parameters(), policy=policy, block=saved).load_state_dict(state)


def wide():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(200, 150), nn.Tanh(), nn.Linear(150, 3))


@pytest.mark.parametrize("is_longer", [False, True])
def test_time_of_the_first_steps_decides_on_blocks(policy, monkeypatch, is_longer):
    monkeypatch.setattr(UpdateTimer, "is_update_longer", lambda self: is_longer)
    model, other = wide(), wide()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    whole = LearnedLR(other.parameters(), policy=policy, block=None)
    for number, (x, y) in enumerate(batches(8, inputs=200)):
        for m, o in ((model, optimizer), (other, whole)):
            o.zero_grad()
            loss = nn.functional.cross_entropy(m(x), y)
            loss.backward()
            o.step(loss)
        is_equal = torch.equal(model[0].weight, other[0].weight)
        assert is_equal == (not is_longer or number < TIMED_STEPS)
        decided = CHEAP_BLOCK if is_longer else None
        assert optimizer.state_dict()["block"] == ("auto" if number + 1 < TIMED_STEPS else decided)
    state = optimizer.state_dict()
    again = LearnedLR(wide().parameters(), policy=policy)
    again.load_state_dict(state)
    assert again.state_dict()["block"] == decided
    with pytest.raises(ValueError, match=f"saved with block={decided}: give LearnedLR that one"):
        LearnedLR(wide().parameters(), policy=policy, block=3).load_state_dict(state)


def test_narrow_networks_have_nothing_to_divide(policy):
    assert LearnedLR(network().parameters(), policy=policy).state_dict()["block"] is None


def test_deterministic_algorithms_leave_nothing_to_time(policy):
    torch.use_deterministic_algorithms(True)
    try:
        optimizer = LearnedLR(wide().parameters(), policy=policy)
    finally:
        torch.use_deterministic_algorithms(False)
    assert optimizer.state_dict()["block"] is None


def test_update_timer_compares_the_quickest():
    times = iter([0.0, 9.0, 10.0, 13.0, 15.0, 17.0])  # updates of 9, 3, 2; gradients of 1, 2
    timer = UpdateTimer(lambda: next(times))
    for _ in range(3):
        timer.begin()
        timer.end()
    assert (timer.gradient, timer.update) == (1.0, 2.0) and timer.is_update_longer()


def test_eval_loads_the_average_and_train_restores_the_weights(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    fit(model, optimizer, 30)
    live = [p.detach().clone() for p in model.parameters()]
    optimizer.eval()
    assert not torch.equal(live[0], next(model.parameters()))
    with pytest.raises(RuntimeError, match="call optimizer.train"):
        optimizer.step(torch.tensor(1.0))
    optimizer.train()
    for a, b in zip(live, model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_evaluation_through_a_wrapper_is_the_optimizers(policy):
    model, reference = network(), network()
    optimizer, alone = (LearnedLR(m.parameters(), policy=policy) for m in (model, reference))
    fit(model, optimizer, 7)
    fit(reference, alone, 7)
    wrapper = Wrapper(optimizer)
    wrapper.eval()
    assert optimizer.state_dict()["averaged"]
    optimizer.train()
    fit(model, optimizer, 9, skip=7)
    fit(reference, alone, 9, skip=7)
    for one, other in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.equal(one, other)


def test_state_dict_resumes_exactly(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    fit(model, optimizer, 7)
    twin = copy.deepcopy(model)
    resumed = LearnedLR(twin.parameters(), policy=policy)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in (optimizer, resumed):
        each.param_groups[0]["lr"] = 0.5  # doesn't rescale the restored units
        each.zero_grad()
        each.step(torch.tensor(math.nan))  # uses the last finite loss, from before the save
    assert fit(model, optimizer, 20, skip=7) == fit(twin, resumed, 20, skip=7)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_state_loads_completely_into_a_running_optimizer(policy, steps):
    """After one step, first and last loss are the same."""
    saved, other = (LearnedLR(network().parameters(), policy=policy) for _ in range(2))
    fit_alone(saved, [2.0, 1.5, 1.0])
    fit_alone(other, [9.0] * steps)
    other.load_state_dict(saved.state_dict())
    for a, b in zip(saved.state_dict()["carry"], other.state_dict()["carry"], strict=True):
        assert torch.equal(a, b)


def fit_alone(optimizer, losses):
    for loss in losses:
        for p in optimizer.param_groups[0]["params"]:
            p.grad = torch.ones_like(p)
        optimizer.step(torch.tensor(loss))


def test_state_of_another_model_is_refused(policy):
    state = LearnedLR(nn.Linear(2, 2).parameters(), policy=policy).state_dict()
    with pytest.raises(ValueError, match="other shapes"):
        LearnedLR(network().parameters(), policy=policy).load_state_dict(state)


def test_state_packed_in_another_order_is_refused(policy):
    state = LearnedLR(network().parameters(), policy=policy).state_dict()
    state["order"] = state["order"][::-1]
    with pytest.raises(ValueError, match="packs tensors in another order"):
        LearnedLR(network().parameters(), policy=policy).load_state_dict(state)


DAMAGED = {
    "param_groups": [{"params": [0, 1, 2, 3]}],
    "floor": None,
    "loss": "1.0",
    "steps": 1.5,
    "averaged": None,
    "trained": None,
    "carry": [torch.zeros(())],
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("is_missing", [True, False])
def test_damaged_state_is_refused_and_changes_nothing(policy, name, is_missing):
    optimizer = LearnedLR(network().parameters(), policy=policy)
    fit_alone(optimizer, [2.0, 1.5])
    before = optimizer.state_dict()
    state = LearnedLR(network().parameters(), policy=policy, lr=0.5).state_dict()
    if is_missing:
        del state[name]
    else:
        state[name] = DAMAGED[name]
    with pytest.raises(ValueError, match="damaged"):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"] and after["steps"] == 2
    for a, b in zip(before["carry"], after["carry"], strict=True):
        assert torch.equal(a, b)


def test_state_with_nan_is_refused(policy):
    optimizer = LearnedLR(network().parameters(), policy=policy)
    state = optimizer.state_dict()
    state["carry"][1].fill_(math.nan)
    with pytest.raises(ValueError, match="not finite: load an earlier one"):
        optimizer.load_state_dict(state)


def test_state_records_whether_weights_are_trained(policy):
    """The state must be restored before the first step, which fixes the units."""
    grown, same = network(), network()
    for model in (grown, same):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(20)
    state = LearnedLR(grown.parameters(), policy=policy, trained=True).state_dict()
    resumed = LearnedLR(grown.parameters(), policy=policy)
    resumed.load_state_dict(state)
    assert fit(grown, resumed, 5) == fit(
        same, LearnedLR(same.parameters(), policy=policy, trained=True), 5
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_multiplier_that_becomes_invalid_is_refused(policy, bad):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    fit(model, optimizer, 3)
    before = model[0].weight.detach().clone()
    optimizer.param_groups[0]["lr"] = bad
    with pytest.raises(ValueError, match="lr=.*: it multiplies the learned rates; give a finite"):
        fit(model, optimizer, 1)
    assert torch.equal(model[0].weight, before)
    optimizer.param_groups[0]["lr"] = 0.5
    fit(model, optimizer, 1)
    assert not torch.equal(model[0].weight, before)


def test_torchs_default_dtype_changes_nothing(policy):
    found = []
    for dtype in (torch.float32, torch.float64):
        model = network()
        torch.set_default_dtype(dtype)
        try:
            optimizer = LearnedLR(model.parameters(), policy=policy)
            fit_alone(optimizer, [2.0, 1.5, 1.0, 0.9, 0.8, 0.7])
        finally:
            torch.set_default_dtype(torch.float32)
        found.append(model[0].weight)
    assert torch.equal(*found)


def test_weights_loaded_after_construction_are_not_lost(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    model.load_state_dict(network(seed=9).state_dict())
    before = model[0].weight.detach().clone()
    fit(model, optimizer, 1)
    assert (model[0].weight - before).abs().max() < 0.1


def test_units_come_from_the_weights_at_the_first_step(policy):
    """DDP or a checkpoint may have replaced the weights since construction."""
    found = []
    for is_late in (False, True):
        model = network(seed=1)
        optimizer = LearnedLR(model.parameters(), policy=policy) if is_late else None
        model.load_state_dict({n: 5 * w for n, w in network(seed=2).state_dict().items()})
        optimizer = optimizer or LearnedLR(model.parameters(), policy=policy)
        found.append((fit(model, optimizer, 5), optimizer.rates()))
    assert found[0] == found[1]


def with_attribute(name):
    parameter = nn.Parameter(torch.zeros(2, 2))
    setattr(parameter, name, True)
    return parameter


@pytest.mark.parametrize(
    "parameters, message",
    [
        ([nn.Parameter(torch.zeros(2, dtype=torch.complex64))], "view_as_real"),
        ([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, device="meta"))], "on one"),
        ([with_attribute("_is_flat_param")], "whole matrices"),
        ([with_attribute("_fsdp_flattened")], "whole matrices"),
        ([{"params": [nn.Parameter(torch.zeros(2))], "lr": -1.0}], "lr=-1: it multiplies"),
    ],
)
def test_untrainable_parameters_are_refused(policy, parameters, message):
    with pytest.raises(ValueError, match=message):
        LearnedLR(parameters, policy=policy)


def test_untrained_parameters_stay_bit_identical(policy):
    model = network()
    constants = [torch.tensor([0.1], dtype=torch.float64), torch.tensor([2**24 + 1])]
    frozen = [nn.Parameter(constant.clone(), requires_grad=False) for constant in constants]
    optimizer = LearnedLR([*model.parameters(), *frozen], policy=policy)
    fit(model, optimizer, 3)
    optimizer.eval()
    assert all(torch.equal(*pair) for pair in zip(frozen, constants, strict=True))


def test_step_inside_autocast_has_full_precision(policy):
    found = []
    for is_inside in (False, True):
        model = network()
        optimizer = LearnedLR(model.parameters(), policy=policy)
        for x, y in batches(8):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_inside):
                optimizer.step(loss)
        found.append(model[0].weight)
    assert torch.equal(*found)


def test_units_of_trained_matrices_come_from_their_shape(policy):
    torch.manual_seed(0)
    grown, small = nn.Parameter(5 * torch.randn(30, 40)), nn.Parameter(0.001 * torch.randn(30, 40))
    vector = nn.Parameter(5 * torch.randn(30))
    plain, trained = (
        LearnedLR([grown, small, vector], policy=policy, trained=trained).rates()
        for trained in (False, True)
    )
    assert plain[2] == trained[2] and plain[0] > 2 * trained[0]
    assert trained[0] == trained[1] == pytest.approx(plain[1] / 2)


def test_trained_weights_loaded_later_have_bounded_units(policy):
    ours, theirs = network(0), network(1)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(20)
    optimizer = LearnedLR(ours.parameters(), policy=policy, trained=True)
    ours.load_state_dict(theirs.state_dict())
    assert fit(ours, optimizer, 10) == fit(
        theirs, LearnedLR(theirs.parameters(), policy=policy, trained=True), 10
    )


def test_trained_weights_move_little(policy):
    """A network with grown weights must not lose what it has learned."""
    first, second = network(), network()
    for model in (first, second):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4)
    start = [p.detach().clone() for p in first.parameters()]
    fit(first, LearnedLR(first.parameters(), policy=policy), 10)
    fit(second, LearnedLR(second.parameters(), policy=policy, trained=True), 10)

    def moved(model):
        return sum(
            ((p - q) ** 2).sum().item() for p, q in zip(model.parameters(), start, strict=True)
        )

    assert 0 < moved(second) < moved(first) / 4


def test_rates_have_the_multiplier_before_the_first_step(policy):
    once, twice = (LearnedLR(network().parameters(), lr, policy=policy).rates() for lr in (1, 2))
    assert twice == pytest.approx([2 * rate for rate in once])


def test_group_multiplier_scales_the_rates(policy):
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}]
    optimizer = LearnedLR(groups, policy=policy)
    frozen, free = model[0].weight.detach().clone(), model[2].weight.detach().clone()
    fit(model, optimizer, 5)
    assert torch.equal(frozen, model[0].weight) and not torch.equal(free, model[2].weight)


def test_weight_decay_shrinks_weights_by_their_relative_rates(policy):
    """Weights with a gradient of zero move by the decay alone; those without one stay."""
    decayed, other, idle = (nn.Parameter(torch.ones(4, 3)) for _ in range(3))
    groups = [{"params": [decayed, idle], "lr": 0.5}, {"params": [other], "weight_decay": 0.0}]
    optimizer = LearnedLR(groups, policy=policy, weight_decay=0.2)
    units = optimizer._stepper.carry.memory.unit.tolist()
    for _ in range(8):  # rates change after the first and the sixth step
        before, rate = decayed.detach().clone(), optimizer.rates()[0]
        decayed.grad, other.grad = torch.zeros(4, 3), torch.zeros(4, 3)
        optimizer.step(1.0)
        assert torch.allclose(decayed, before * (1 - 0.2 * rate / units[0]), rtol=1e-6, atol=0)
        assert (decayed < before).all() and (other == 1).all() and (idle == 1).all()


def test_average_follows_decayed_weights(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy, weight_decay=20.0)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(50):
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step(1.0)
    with optimizer.averaged(model):
        for p, start in zip(model.parameters(), before, strict=True):
            assert p.norm() < 0.9 * start.norm()


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_weight_decay_that_becomes_invalid_is_refused(policy, bad):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy, weight_decay=0.1)
    fit(model, optimizer, 1)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.param_groups[0]["weight_decay"] = bad
    with pytest.raises(ValueError, match=f"weight_decay={bad:g}: give a finite number"):
        fit(model, optimizer, 1)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


def test_resumed_run_keeps_its_weight_decay(policy):
    whole = network()
    fit(whole, LearnedLR(whole.parameters(), policy=policy, weight_decay=3.0), 14)
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy, weight_decay=3.0)
    fit(model, optimizer, 6)
    resumed = LearnedLR(model.parameters(), policy=policy)
    resumed.load_state_dict(optimizer.state_dict())
    fit(model, resumed, 14, skip=6)
    assert all(
        torch.equal(*pair) for pair in zip(model.parameters(), whole.parameters(), strict=True)
    )
    plain = network()
    fit(plain, LearnedLR(plain.parameters(), policy=policy), 14)
    assert not torch.allclose(plain[0].weight, whole[0].weight, rtol=1e-4)


def test_known_end_lowers_rates_by_the_bouncing_of_the_loss(policy):
    """Rates fall in a resumed run, too."""
    count, restraint = 20, 3.0
    fast, whole, other = network(), network(), network()
    open_ended = LearnedLR(fast.parameters(), policy=policy)
    straight, first, second = (
        LearnedLR(model.parameters(), policy=policy, total_steps=count)
        for model in (whole, other, other)
    )
    for model, optimizer in ((fast, open_ended), (whole, straight), (other, first)):
        fit(model, optimizer, 5)
        optimizer._stepper.remember(restraint=torch.tensor(restraint))
        fit(model, optimizer, 6, skip=5)
    second.load_state_dict(first.state_dict())
    fit(whole, straight, count, skip=6)
    fit(other, second, count, skip=6)
    for mine, theirs in zip(whole.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for one in (open_ended, straight):
        one.load_state_dict(first.state_dict())
        one._stepper.remember(restraint=torch.tensor(restraint))
        one._scale_rates()
    left = (1 - 6 / count) ** restraint
    assert straight.rates() == pytest.approx([left * rate for rate in open_ended.rates()])
    with pytest.raises(ValueError, match="total_steps=0: give a number from 1 on, or None"):
        LearnedLR(other.parameters(), policy=policy, total_steps=0)


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(30 * x)


def loss_after(count, model, inputs, goal):
    """Return the loss of the average after steps on random batches, with the shipped policy."""
    optimizer, generator = LearnedLR(model.parameters()), torch.Generator().manual_seed(0)
    for _ in range(count):
        batch = torch.randint(len(inputs), (128,), generator=generator)
        loss = nn.functional.mse_loss(model(inputs[batch]), goal(inputs[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)
    with torch.no_grad(), optimizer.averaged(model):
        return float(nn.functional.mse_loss(model(inputs), goal(inputs)))


def sine_network():
    """A small network of Sitzmann et al. 2020 (arXiv:2006.09661), with its initial weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 48), Sine(), nn.Linear(48, 48), Sine(), nn.Linear(48, 1))
    for layer in (model[2], model[4]):
        nn.init.uniform_(layer.weight, -((6 / 48) ** 0.5) / 30, (6 / 48) ** 0.5 / 30)
    return model


def test_sine_network_is_not_ruined_by_the_first_steps(monkeypatch):
    def loss():
        inputs = torch.linspace(-1, 1, 1000)[:, None]
        return loss_after(200, sine_network(), inputs, lambda x: torch.sin(20 * x) + x)

    assert loss() < 1e-3
    monkeypatch.setattr("policy.rule.controller.FARTHEST_AIM", math.inf)
    assert loss() > 0.01


def test_loss_without_noise_keeps_falling(monkeypatch):
    def loss():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 2, bias=False))
        goal = nn.Linear(8, 2, bias=False).requires_grad_(False)
        return loss_after(300, model, torch.randn(1000, 8), goal)

    low = loss()
    monkeypatch.setattr("policy.rule.signal.RESTRAINTS", RESTRAINTS[:1])
    assert low < 0.1 * loss()


def test_missing_gradients_count_as_zero_but_move_nothing(policy):
    found = []
    for is_missing in (True, False):
        model = network()
        optimizer = LearnedLR(model.parameters(), policy=policy)
        fit(model, optimizer, 5)
        before = model[0].weight.detach().clone()
        for p in model.parameters():
            p.grad = None if is_missing else torch.zeros_like(p)
        optimizer.step(torch.tensor(1.0))
        assert torch.equal(before, model[0].weight)
        found.append(optimizer._stepper.carry.buffers)
    for ours, others in zip(*found, strict=True):
        assert torch.equal(ours, others)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nothing_moves_before_the_first_finite_loss(policy, bad):
    found = []
    for losses in ((1.0, 0.9), (bad, bad, 1.0, 0.9)):
        model = network()
        optimizer = LearnedLR(model.parameters(), policy=policy)
        for loss in losses:
            for p in model.parameters():
                p.grad = torch.ones_like(p)
            is_warned = contextlib.nullcontext()
            if not math.isfinite(loss):
                is_warned = pytest.warns(UserWarning, match="no step before a finite loss")
            with is_warned:
                optimizer.step(torch.tensor(loss))
        found.append(optimizer.state_dict()["carry"])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_model_without_gradients_gives_a_warning(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)  # replaces the parameters
    model(torch.ones(2, 6)).sum().backward()
    with pytest.warns(UserWarning, match="no parameter has a gradient"):
        optimizer.step(1.0)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scale_of_the_loss_changes_nothing(policy, scale):
    found = []
    for factor in (1.0, scale):
        model = network()
        optimizer = LearnedLR(model.parameters(), policy=policy)
        for x in torch.randn(30, 8, 6, generator=torch.Generator().manual_seed(1)):
            loss = factor * (model(x) - x[:, :3]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(loss)
        found.append(optimizer.rates())
    torch.testing.assert_close(*map(torch.tensor, found), rtol=1e-3, atol=0)


def test_tensor_multiplier_follows_its_scheduler(policy):
    found = []
    for lr in (1.0, torch.tensor(1.0)):
        model = network()
        optimizer = LearnedLR(model.parameters(), policy=policy, lr=lr)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
        for _ in range(4):
            fit(model, optimizer, 1)
            scheduler.step()
        found.append(model[0].weight)
    assert torch.equal(*found)


def test_trains_under_autocast_with_a_gradient_scaler(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    scaler = torch.amp.GradScaler("cpu")
    losses = []
    for x, y in batches(60):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), 0 * y)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer, loss.detach())
        scaler.update()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_parameters_must_come_at_construction(policy):
    optimizer = LearnedLR(network().parameters(), policy=policy)
    with pytest.raises(ValueError, match="at its construction"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))]})


def loaded(model, seed=9):
    """Load weights into a model, and return them."""
    model.load_state_dict(network(seed).state_dict())
    return model[0].weight.detach().clone()


@pytest.mark.parametrize("count", [0, 10])
def test_weights_loaded_before_an_evaluation_are_not_lost(policy, count):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    fit(model, optimizer, count)
    given = loaded(model)
    optimizer.eval()
    assert torch.equal(model[0].weight, given) == (count == 0)  # otherwise the average lags behind
    optimizer.train()
    assert torch.equal(model[0].weight, given)


def test_weights_loaded_during_an_evaluation_are_not_lost(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    fit(model, optimizer, 10)
    optimizer.eval()
    given = loaded(model)
    optimizer.train()
    assert torch.equal(model[0].weight, given)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_another_precision_that_are_loaded_are_not_lost(policy, dtype):
    model = network().to(dtype)
    optimizer = LearnedLR(model.parameters(), policy=policy)
    given = loaded(model)
    optimizer.step(torch.tensor(1.0))  # without gradients, so nothing else moves the weights
    assert torch.equal(model[0].weight, given)


def test_small_steps_add_up_in_low_precision(policy):
    """The float32 copy accumulates steps that bfloat16 would round away."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False)).to(torch.bfloat16)
    nn.init.constant_(model[0].weight, 64.0)  # bfloat16 neighbours are 0.5 apart
    optimizer = LearnedLR([{"params": model.parameters(), "lr": 1e-3}], policy=policy)
    for _ in range(400):
        model[0].weight.grad = torch.ones_like(model[0].weight)
        optimizer.step(torch.tensor(1.0))
    exact = optimizer.state_dict()["carry"][0].flatten()[0]
    assert 0 < 64.0 - exact < 0.25 and model[0].weight == 64.0


def test_frozen_parameter_stays_and_its_average_follows(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    fit(model, optimizer, 20)
    model[0].requires_grad_(False)
    frozen = model[0].weight.detach().clone()
    fit(model, optimizer, 200)
    assert torch.equal(model[0].weight, frozen)
    optimizer.eval()
    torch.testing.assert_close(model[0].weight.detach(), frozen, rtol=0, atol=1e-6)


def test_sparse_gradients_equal_dense_ones(policy):
    found = []
    for sparse in (True, False):
        torch.manual_seed(0)
        model = nn.Embedding(9, 4, sparse=sparse)
        optimizer = LearnedLR(model.parameters(), policy=policy)
        for i in range(8):
            optimizer.zero_grad()
            loss = model(torch.tensor([i % 3, 5])).square().sum()
            loss.backward()
            optimizer.step(loss)
        found.append(model.weight.detach())
    assert torch.equal(*found)


def test_resume_keeps_the_schedulers_factor(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10, gamma=0.01)
    for i in range(10):
        fit(model, optimizer, i + 1, skip=i)
        scheduler.step()
    twin = copy.deepcopy(model)
    resumed = LearnedLR(twin.parameters(), policy=policy)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert fit(model, optimizer, 15, skip=10) == fit(twin, resumed, 15, skip=10)
    assert optimizer.rates() == resumed.rates()


def test_state_saved_in_evaluation_mode_resumes_exactly(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy, floor=-0.7)
    fit(model, optimizer, 7)
    optimizer.eval()
    twin = copy.deepcopy(model)
    resumed = LearnedLR(twin.parameters(), policy=policy)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in (optimizer, resumed):
        each.train()
    assert fit(model, optimizer, 20, skip=7) == fit(twin, resumed, 20, skip=7)


def test_losses_are_measured_from_the_floor(policy):
    found = []
    for floor, below in ((0.0, 0.0), (-2.0, 2.0), (0.0, 2.0)):
        optimizer = LearnedLR(network().parameters(), policy=policy, floor=floor)
        fit_alone(optimizer, [2.0 - step / 16 - below for step in range(12)])
        found.append(optimizer.rates())
    assert found[0] == found[1] != found[2]


def test_state_of_other_shapes_with_equal_rows_is_refused(policy):
    state = LearnedLR(nn.Linear(8, 3).parameters(), policy=policy).state_dict()
    with pytest.raises(ValueError, match="other shapes"):
        LearnedLR(nn.Linear(8, 4).parameters(), policy=policy).load_state_dict(state)


def test_state_of_another_optimizer_is_refused(policy):
    parameters = list(network().parameters())
    with pytest.raises(ValueError, match="another optimizer"):
        LearnedLR(parameters, policy=policy).load_state_dict(
            torch.optim.Adam(parameters).state_dict()
        )


def by_pickle(pair):
    return pickle.loads(pickle.dumps(pair))


@pytest.mark.parametrize("copied", [copy.deepcopy, by_pickle])
def test_copies_continue_like_the_original(policy, copied):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    torch.optim.lr_scheduler.StepLR(optimizer, 100)  # patches the optimizer's step
    fit(model, optimizer, 7)
    twin, its = copied((model, optimizer))
    assert fit(model, optimizer, 20, skip=7) == fit(twin, its, 20, skip=7)


def fit_without_a_loss(model, optimizer, groups):
    """Make steps like a framework that only observes losses, one per batch of a step."""
    for group in groups:
        optimizer.zero_grad()
        for x, y in group:
            loss = nn.functional.cross_entropy(model(x), y)
            (loss / len(group)).backward()
            optimizer.observe(loss)
        optimizer.step()


def test_observed_losses_apply_to_the_next_step(policy):
    model, twin = network(), network()
    fit(model, LearnedLR(model.parameters(), policy=policy), 12)
    fit_without_a_loss(
        twin, LearnedLR(twin.parameters(), policy=policy), [[batch] for batch in batches(12)]
    )
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_mean_of_observed_losses_counts(policy):
    """It is the loss of one batch of the same examples."""
    model, twin = network(), network()
    pairs = list(batches(12))
    groups = [pairs[i : i + 2] for i in range(0, 12, 2)]
    optimizer = LearnedLR(model.parameters(), policy=policy)
    for group in groups:
        x, y = (torch.cat(part) for part in zip(*group, strict=True))
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)
    fit_without_a_loss(twin, LearnedLR(twin.parameters(), policy=policy), groups)
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_observed_loss_lasts_one_step_and_is_ignored_in_evaluation(policy):
    optimizer = LearnedLR(network().parameters(), policy=policy)
    optimizer.observe(1.0)
    optimizer.step()
    with pytest.raises(TypeError, match="needs the loss"):
        optimizer.step()
    optimizer.eval()
    optimizer.observe(9.0)
    optimizer.train()
    with pytest.raises(TypeError, match="needs the loss"):
        optimizer.step()
    optimizer.observe(5.0)
    assert optimizer.step(2.0) == 2.0  # the given loss counts, and observed ones are dropped
    with pytest.raises(TypeError, match="needs the loss"):
        optimizer.step()
    with pytest.raises(ValueError, match="a scalar"):
        optimizer.observe(torch.ones(2))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_loss_may_have_axes_of_length_one(policy, shape):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    for _ in range(3):
        optimizer.step(torch.full(shape, 1.0))
    assert optimizer.state_dict()["steps"] == 3


def test_state_of_another_policy_is_refused(policy):
    state = LearnedLR(network().parameters(), policy=policy).state_dict()
    other = Policy(SPEC, initial_weights(SPEC, 1))
    with pytest.raises(ValueError, match="with another policy: give LearnedLR that one"):
        LearnedLR(network().parameters(), policy=other).load_state_dict(state)


@pytest.mark.parametrize(
    "params, message",
    [
        ([{"params": []}], "there are no parameters"),
        ([{"params": [torch.zeros(1)], "weight_decay": -0.1}], "weight_decay=-0.1: give a finite"),
        ([{"params": [torch.zeros(1)], "momentum": 0.9}], "a group sets momentum"),
        ([{"params": [torch.zeros(1)], "betas": (0.9, 0.99)}], "a group sets betas"),
        ([{"params": [torch.zeros(1)], "lr": -1.0}], "lr=-1: it multiplies the learned rates"),
        ([{"params": [torch.zeros(1)], "lr": math.nan}], "lr=nan: it multiplies the learned rates"),
    ],
)
def test_unsupported_groups_are_refused(policy, params, message):
    with pytest.raises(ValueError, match=message):
        LearnedLR(params, policy=policy)


@pytest.mark.parametrize(
    "loss, error, message",
    [
        (torch.ones(2), ValueError, "a scalar"),
        (None, TypeError, "needs the loss"),
        (lambda: None, TypeError, "a closure that returns it"),
        ({"loss": 1.0}, TypeError, "the loss is a dict: give a number"),
        (torch.tensor(1j), TypeError, "the loss is a torch.complex64: give a number"),
    ],
)
def test_invalid_loss_is_refused(policy, loss, error, message):
    with pytest.raises(error, match=message):
        LearnedLR(network().parameters(), policy=policy).step(loss)


@pytest.mark.parametrize(
    "given", [{"floor": math.nan}, {"total_steps": math.nan}, {"total_steps": 0}, {"block": 2.5}]
)
def test_unusable_argument_is_refused(policy, given):
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match=f"{name}={value}: give a "):
        LearnedLR(network().parameters(), policy=policy, **given)


def test_typical_rate_of_another_optimizer_gives_a_warning(policy):
    for given in ((1e-3,), ()):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            optimizer = LearnedLR(network().parameters(), *given, policy=policy)
        assert [str(w.message)[:8] for w in caught] == ["lr=0.001"] * len(given)
        assert all(w.filename == __file__ for w in caught)
        assert optimizer.param_groups[0]["lr"] == (given or (1.0,))[0]


@pytest.mark.parametrize("by_name", [False, True])
def test_closure_computes_the_gradients_of_the_step(policy, by_name):
    plain, other = network(), network()
    losses = fit(plain, LearnedLR(plain.parameters(), policy=policy), 12)
    optimizer = LearnedLR(other.parameters(), policy=policy)
    found = []
    for x, y in batches(12):

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(other(x), y)
            loss.backward()
            return loss

        loss = optimizer.step(closure=closure) if by_name else optimizer.step(closure)
        found.append(loss.item())
    assert found == losses
    for a, b in zip(plain.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_compiled_training_step_equals_the_loop(policy):
    plain, other = network(), network()
    losses = fit(plain, LearnedLR(plain.parameters(), policy=policy), 12)
    optimizer = LearnedLR(other.parameters(), policy=policy)

    @torch.compile(backend="eager")
    def train(x, y):
        loss = nn.functional.cross_entropy(other(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)
        return loss.detach()

    @torch.compile(backend="eager")
    def show_average():
        optimizer.eval()

    try:
        assert [train(x, y).item() for x, y in batches(12)] == pytest.approx(losses, rel=1e-5)
        show_average()
    finally:
        torch._dynamo.reset()
    assert optimizer.state_dict()["steps"] == 12 and optimizer.state_dict()["averaged"]


def test_non_finite_loss_is_not_remembered(policy):
    found = []
    for bad in (math.nan, 1.0):
        model = network()
        optimizer = LearnedLR(model.parameters(), policy=policy)
        for loss in (1.0, bad, 0.9, 0.8):
            optimizer.step(torch.tensor(loss))
        found.append(optimizer.state_dict()["carry"])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def _of_one_process(rank, world, folder, policy):
    """Write the rates after six steps, on losses that differ between processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=world)
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    for i in range(6):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step(torch.tensor(3.0 - i + rank))
    UpdateTimer.is_update_longer = lambda self: rank == 1
    model = wide()
    timed = LearnedLR(model.parameters(), policy=policy)
    for _ in range(TIMED_STEPS):
        model[0].weight.grad = torch.ones_like(model[0].weight)
        timed.step(torch.tensor(3.0))
    dist.destroy_process_group()
    found = {"carry": optimizer.state_dict()["carry"], "block": timed.state_dict()["block"]}
    torch.save(found, f"{folder}/{rank}.pt")


def test_processes_agree_on_loss_and_blocks(policy, tmp_path):
    mp.spawn(_of_one_process, (2, str(tmp_path), policy), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    for i in range(6):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step(torch.tensor(3.5 - i))
    carries = first["carry"], second["carry"], optimizer.state_dict()["carry"]
    for a, b, alone in zip(*carries, strict=True):
        assert torch.equal(a, b) and torch.equal(a, alone)
    assert first["block"] == second["block"] == CHEAP_BLOCK
