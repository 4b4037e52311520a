"""Checks of what :class:`policy.optimizer.LearnedLR` is given, with clear errors."""

import math
import operator
import warnings

import torch

from policy.blocks import AUTO

FOREIGN = "momentum", "betas"  # settings of other optimizers
LEAST = 0.05  # a smaller multiplier is probably meant as a learning rate
STATE = (
    *("param_groups", "carry", "shapes", "order", "policy", "block"),
    *("floor", "loss", "steps", "averaged", "trained"),
)
SHARDS = "_local_tensor", "_is_flat_param", "_fsdp_flattened"  # attributes of FSDP's parameters


def check_parameters(parameters):
    """Raise ValueError for parameters that LearnedLR can't train."""
    if not parameters:
        raise ValueError("there are no parameters: give at least one")
    devices = {p.device for p in parameters}
    if len(devices) > 1:
        raise ValueError(f"parameters are on {sorted(map(str, devices))}: put them on one")
    if any(p.is_complex() for p in parameters):
        raise ValueError("a parameter is complex: train torch.view_as_real of it")
    if any(hasattr(p, name) for p in parameters for name in SHARDS):
        raise ValueError(
            "parameters are shards (FSDP): LearnedLR has to see whole matrices, as under DDP"
        )


def check_groups(groups):
    """Raise ValueError for settings of other optimizers; warn of a multiplier that looks like a
    learning rate."""
    multipliers = [float(group["lr"]) for group in groups]
    check_multipliers(multipliers)
    check_decays([group["weight_decay"] for group in groups])
    small = [multiplier for multiplier in multipliers if 0 < multiplier < LEAST]
    if small:
        warnings.warn(
            f"lr={small[0]:g} multiplies the learned rates, and leaves little of them: leave it "
            "out for the rates as they were learned",
            stacklevel=3,
        )
    for name in FOREIGN:
        if any(group.get(name) for group in groups):
            raise ValueError(f"a group sets {name}, which LearnedLR does not have: leave it out")


def check_multipliers(multipliers):
    """Raise ValueError for a multiplier that is negative, infinite or NaN."""
    for multiplier in multipliers:
        if not 0 <= multiplier < math.inf:
            raise ValueError(
                f"lr={multiplier:g}: it multiplies the learned rates; give a finite number, 0 or "
                "more"
            )


def check_decays(decays):
    """Raise ValueError for a weight decay that is negative, infinite or NaN."""
    for decay in decays:
        if not 0 <= decay < math.inf:
            raise ValueError(f"weight_decay={decay:g}: give a finite number, 0 or more")


def check_count(name, value, wanted="a number from 1 on, or None"):
    """Raise ValueError unless an argument is None or a whole number from 1 on."""
    if value is not None and not is_count(value):
        raise ValueError(f"{name}={value!r}: give {wanted}")


def is_count(value):
    """Return whether a value is a whole number from 1 on."""
    try:
        return operator.index(value) > 0
    except TypeError:
        return False


def check_loss(loss):
    """Raise TypeError for what is neither a number nor a tensor of real ones."""
    if torch.is_tensor(loss) and not loss.is_complex():
        return
    if torch.is_tensor(loss) or not hasattr(loss, "__float__"):
        kind = loss.dtype if torch.is_tensor(loss) else type(loss).__name__
        raise TypeError(f"the loss is a {kind}: give a number, or a tensor of one real entry")


def check_model(model, parameters):
    """Raise ValueError for a model without any of the optimizer's parameters."""
    own = set(map(id, parameters))
    if not any(id(parameter) in own for parameter in model.parameters()):
        raise ValueError(
            "the model has none of the optimizer's parameters: give the model that it trains, or "
            "make LearnedLR again if its parameters were replaced"
        )


def check_state(state, own, tensors):
    """Raise ValueError for a state dict that is damaged, or of an optimizer unlike this one.

    Args:
        state: the state dict to load.
        own: this optimizer's shapes, order, policy and block, as it saves them.
        tensors: those that the state's will be copied to.
    """
    missing = [name for name in STATE if name not in state]
    if missing:
        raise ValueError(
            f"the state has no {missing[0]!r}: it is damaged, or that of another version or of "
            "another optimizer; load it with the code that saved it"
        )
    shapes = [tuple(shape) for shape in state["shapes"]]
    if shapes != own["shapes"] or not _are_alike(state["carry"], tensors):
        raise ValueError(
            "the state belongs to parameters of other shapes, or is damaged: build the model that "
            "it was saved with"
        )
    if state["order"] != own["order"]:
        raise ValueError(
            "the state was saved by a version that packs tensors in another order: load it "
            "there, and go on from the model's weights with a new LearnedLR"
        )
    if state["policy"] != own["policy"]:
        raise ValueError("the state was saved with another policy: give LearnedLR that one")
    if state["block"] != own["block"]:
        raise ValueError(
            f"the state was saved with block={state['block']}: give LearnedLR that one"
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state["carry"]):
        raise ValueError("the state has entries that are not finite: load an earlier one")
    _check_values(state)
    check_multipliers([float(group["lr"]) for group in state["param_groups"]])


def _check_values(state):
    is_sound = {
        "param_groups": all("lr" in group and "params" in group for group in state["param_groups"]),
        "floor": torch.is_tensor(state["floor"]) and state["floor"].numel() == 1,
        "loss": torch.is_tensor(state["loss"]) and state["loss"].numel() == 1,
        "block": state["block"] in (None, AUTO) or is_count(state["block"]),
        "steps": isinstance(state["steps"], int) and state["steps"] >= 0,
        "averaged": isinstance(state["averaged"], bool),
        "trained": isinstance(state["trained"], bool),
    }
    for name, sound in is_sound.items():
        if not sound:
            raise ValueError(f"the state's {name!r} is damaged: load another copy of it")


def _are_alike(values, tensors):
    return len(values) == len(tensors) and all(
        torch.is_tensor(value) and value.shape == tensor.shape
        for value, tensor in zip(values, tensors)
    )
