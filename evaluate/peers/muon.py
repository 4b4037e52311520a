"""Muon (0.02) on the inner matrices and kernels, Adam (1e-3) on all else.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A submission is not
told which tensors embed or classify: here those are the first and the last of more than one axis.
"""

from pytorch_optimizer import Muon

from evaluate.peers.common import aliases, descend

given: dict = {}


def groups(weights) -> list[dict]:
    """The parameter groups that pytorch_optimizer's Muon wants."""
    matrices = [i for i, weight in enumerate(weights) if weight.dim() > 1][1:-1]
    inner = {"params": [weights[i] for i in matrices], "lr": 0.02, "use_muon": True}
    others = [weight for i, weight in enumerate(weights) if i not in matrices]
    rest = {"params": others, "lr": 1e-3, "betas": (0.9, 0.999), "use_muon": False}
    return [{**group, "weight_decay": 0.0} for group in (inner, rest) if group["params"]]


def train(task):
    """Train until ``Done``."""
    weights = aliases(task)
    descend(task, weights, Muon(groups(weights)), given=given)
