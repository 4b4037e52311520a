"""What :class:`policy.optimizer.LearnedLR` cannot serve: clear errors, before anything moves."""

import math
import warnings

FOREIGN = "weight_decay", "momentum", "betas"  # settings of other optimizers
LEAST = 0.01  # smaller multipliers at the construction are taken for rates of other optimizers
SHARDS = "_local_tensor", "_is_flat_param", "_fsdp_flattened"  # attributes of FSDP's parameters


def check_parameters(parameters):
    """Raise ValueError for parameters that are none of this optimizer's."""
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
    """Raise ValueError for settings that would have no effect, or a wrong one; warn of a multiplier
    that looks like a rate."""
    multipliers = [float(group["lr"]) for group in groups]
    if not all(0 <= multiplier < math.inf for multiplier in multipliers):
        raise ValueError("lr multiplies the learned rates: give a finite number, 0 or more")
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


def check_state(state, own, tensors):
    """Raise ValueError for a state dict that is not of an optimizer like this one.

    Args:
        state: what is to be loaded.
        own: this optimizer's shapes, order, policy and block, as it saves them.
        tensors: those that the state's are to be copied to.
    """
    carry = state.get("carry", [])[1:]  # behind the step
    shapes = [tuple(shape) for shape in state.get("shapes", [])]
    if shapes != own["shapes"] or [t.shape for t in tensors] != [t.shape for t in carry]:
        raise ValueError(
            "the state belongs to parameters of other shapes, to another version or to another "
            "optimizer: build the same model with the code that saved it"
        )
    if state.get("order") != own["order"]:
        raise ValueError(
            "the state was saved by a version that packs tensors in another order: load it "
            "there, and go on from the model's weights with a new LearnedLR"
        )
    if state.get("policy", own["policy"]) != own["policy"]:  # older states do not tell
        raise ValueError("the state was saved with another policy: give LearnedLR that one")
    if state.get("block") != own["block"]:
        raise ValueError(
            f"the state was saved with block={state.get('block')}: give LearnedLR that one"
        )
