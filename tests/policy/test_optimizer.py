"""LearnedLR does what the submission does, and behaves as a torch optimizer should."""

import copy

import pytest
import torch
from torch import nn

from policy.checkpoint import Policy
from policy.learner import Learner
from policy.optimizer import LearnedLR
from policy.spec import Spec
from policy.weights import initial_weights

SPEC = Spec()


@pytest.fixture
def policy():
    weights = initial_weights(SPEC, 0)
    weights["head.weight"].uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    return Policy(SPEC, weights)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def batches(count):
    generator = torch.Generator().manual_seed(2)
    for _ in range(count):
        yield torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator)


def fit(model, optimizer, count, skip=0):
    losses = []
    for x, y in list(batches(count))[skip:]:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)
        losses.append(loss.item())
    return losses


class Oracle:
    """The challenge's interface around a module, as far as the learner uses it."""

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


def test_same_weights_as_the_submission(policy):
    model, other = network(), network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    fit(model, optimizer, 23)
    oracle = Oracle(other)
    learner = Learner(oracle, policy.spec, policy.weights)
    for batch in batches(23):
        learner.step(*oracle.batch_loss_and_gradient(batch))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        # One keeps step and loss as float32 tensors, the other as numbers; the orthogonal direction
        # magnifies the rounding of small singular values.
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert optimizer.rates() == pytest.approx(learner.rates(), rel=1e-4)


def test_eval_shows_the_average_and_train_brings_the_weights_back(policy):
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


def test_state_dict_resumes_exactly(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    fit(model, optimizer, 7)
    twin = copy.deepcopy(model)
    resumed = LearnedLR(twin.parameters(), policy=policy)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in (optimizer, resumed):
        each.param_groups[0]["lr"] = 0.5  # scales the units of the start, not those of the resume
    assert fit(model, optimizer, 20, skip=7) == fit(twin, resumed, 20, skip=7)


def test_state_of_another_model_is_refused(policy):
    state = LearnedLR(nn.Linear(2, 2).parameters(), policy=policy).state_dict()
    with pytest.raises(ValueError, match="other shapes"):
        LearnedLR(network().parameters(), policy=policy).load_state_dict(state)


def test_state_packed_in_another_order_is_refused(policy):
    state = LearnedLR(network().parameters(), policy=policy).state_dict()
    del state["order"]
    with pytest.raises(ValueError, match="packs tensors in another order"):
        LearnedLR(network().parameters(), policy=policy).load_state_dict(state)


def test_weights_loaded_after_construction_are_not_lost(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    model.load_state_dict(network(seed=9).state_dict())
    before = model[0].weight.detach().clone()
    fit(model, optimizer, 1)
    assert (model[0].weight - before).abs().max() < 0.1


def test_group_multiplier_scales_the_rates(policy):
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}]
    optimizer = LearnedLR(groups, policy=policy)
    frozen, free = model[0].weight.detach().clone(), model[2].weight.detach().clone()
    fit(model, optimizer, 5)
    assert torch.equal(frozen, model[0].weight) and not torch.equal(free, model[2].weight)


def test_missing_gradients_count_as_zero(policy):
    model = network()
    optimizer = LearnedLR(model.parameters(), policy=policy)
    before = model[0].weight.detach().clone()
    optimizer.step(torch.tensor(1.0))
    assert torch.equal(before, model[0].weight)


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
