"""Muon (0.02) on the inner matrices and kernels, Adam (1e-3) on all else.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. Inner: neither in
the first layer, which embeds, nor in the last, which classifies, nor a table of positions. No
submission is told which these are; this peer is.
"""

from collections.abc import Sequence

from pytorch_optimizer import Muon
from torch import Tensor

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def groups(weights: Sequence[Tensor], hidden: Sequence[int]) -> list[dict]:
    """The parameter groups that pytorch_optimizer's Muon wants; `hidden`: places of matrices."""
    inner = {"params": [weights[i] for i in hidden], "lr": 0.02, "use_muon": True}
    others = [weight for i, weight in enumerate(weights) if i not in hidden]
    rest = {"params": others, "lr": 1e-3, "betas": (0.9, 0.999), "use_muon": False}
    return [{**group, "weight_decay": 0.0} for group in (inner, rest) if group["params"]]


def train(task: Task) -> None:
    """Train until `Done`. Raises ValueError if it was not told which matrices are hidden."""
    if "hidden" not in given:
        raise ValueError("this peer needs the places of hidden matrices; run it by --peers NAME")
    weights = aliases(task)
    descend(task, weights, Muon(groups(weights, given["hidden"])), given=given)
