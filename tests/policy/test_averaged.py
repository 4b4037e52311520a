"""Inside LearnedLR.averaged the model can be tested; afterwards training continues unaffected."""

import copy

import pytest
import torch
from torch import nn

from policy.optimizer import LearnedLR


def network():
    torch.manual_seed(0)
    layers = (nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3))
    return nn.Sequential(*layers)


def inputs(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(16, 6, generator=generator) for _ in range(count)]


def fit(model, optimizer, batches):
    for x in batches:
        loss = nn.functional.cross_entropy(model(x), x[:, :3].argmax(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)


@pytest.fixture
def trained():
    model = network()
    optimizer = LearnedLR(model.parameters())
    fit(model, optimizer, inputs(30))
    return model, optimizer


def everything(model):
    return copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]


def assert_same(model, before):
    state, modes = before
    assert modes == [module.training for module in model.modules()]
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert model[1].momentum == 0.1


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("with_targets", [True, False])
def test_statistics_belong_to_averaged_weights_and_are_restored(trained, is_training, with_targets):
    model, optimizer = trained
    model.train(is_training)
    before, batches = everything(model), inputs(9, seed=2)
    given = [(x, torch.zeros(16)) for x in batches] if with_targets else batches
    twin = copy.deepcopy(model)
    with optimizer.averaged(model, given):
        assert not any(module.training for module in model.modules())
        hidden = torch.cat([model[0](x) for x in batches])
        torch.testing.assert_close(model[1].running_mean, hidden.mean(0), rtol=1e-4, atol=1e-5)
        seen = everything(model)[0]
        with pytest.raises(RuntimeError, match="averaged weights"):
            optimizer.step(1.0)
    assert not torch.equal(seen["0.weight"], before[0]["0.weight"])
    assert_same(model, before)
    model.train(), twin.train()
    other = LearnedLR(twin.parameters())
    other.load_state_dict(optimizer.state_dict())
    torch.manual_seed(3)
    fit(model, optimizer, inputs(7, seed=4))
    torch.manual_seed(3)
    fit(twin, other, inputs(7, seed=4))
    assert_same(twin, everything(model))


def test_error_inside_restores_everything(trained):
    model, optimizer = trained
    before = everything(model)
    with pytest.raises(KeyError):
        with optimizer.averaged(model, inputs(2)):
            raise KeyError
    assert_same(model, before)


@pytest.mark.parametrize(
    "batches, message",
    [
        (None, "has batch norm, whose statistics .* give batches"),
        (iter(()), "batches is empty"),
        ([{"x": torch.zeros(4, 6)}], "batches must be inputs"),
        (torch.zeros(4, 6), "batches must be inputs"),
    ],
)
def test_batch_norm_needs_batches(trained, batches, message):
    model, optimizer = trained
    before = everything(model)
    with pytest.raises(ValueError, match=message):
        with optimizer.averaged(model, batches):
            raise AssertionError
    assert_same(model, before)


def test_another_model_is_refused(trained):
    _, optimizer = trained
    with pytest.raises(ValueError, match="none of the optimizer's parameters"):
        with optimizer.averaged(network(), inputs(2)):
            raise AssertionError


def test_no_batches_are_needed_without_batch_norm():
    model = nn.Linear(6, 3)
    optimizer = LearnedLR(model.parameters())
    fit(model, optimizer, inputs(30))
    live = model.weight.detach().clone()
    with optimizer.averaged(model):
        assert not torch.equal(model.weight, live) and not model.training
    assert torch.equal(model.weight, live) and model.training


def test_frozen_batch_norm_keeps_its_statistics(trained):
    model, optimizer = trained
    model[1].eval()
    kept = model[1].running_mean.clone()
    with optimizer.averaged(model):  # so that no batches are needed
        assert torch.equal(model[1].running_mean, kept)
    assert model.training and not model[1].training


def test_users_forward_pass_does_not_change_statistics(trained):
    model, optimizer = trained
    before = everything(model)
    with optimizer.averaged(model, inputs(3)):
        model.train()
        model(inputs(1)[0])
    assert_same(model, before)


def test_evaluation_mode_is_kept(trained):
    model, optimizer = trained
    optimizer.eval()
    before = everything(model)
    with optimizer.averaged(model, inputs(3)):
        assert torch.equal(model[0].weight, before[0]["0.weight"])
    assert_same(model, before)
    with pytest.raises(RuntimeError, match="averaged weights"):
        optimizer.step(1.0)


class Sum(nn.Module):
    """A network of two inputs, in a dictionary."""

    def __init__(self):
        super().__init__()
        self.net = network()

    def forward(self, *, left, right):
        return self.net(left + right)


def test_model_of_other_inputs_is_given_its_forward_pass():
    model = Sum()
    optimizer = LearnedLR(model.parameters())
    batches = [{"left": x, "right": x} for x in inputs(5)]
    with optimizer.averaged(model, batches, forward=lambda batch: model(**batch)):
        mean = model.net[1].running_mean.clone()
        expected = torch.stack([model.net[0](2 * x).mean(0) for x in inputs(5)]).mean(0)
    assert torch.allclose(mean, expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"give averaged\(model, batches, forward\)"):
        with optimizer.averaged(model, batches):
            pass
