"""Muon on the hidden matrices, Adam on the rest: pytorch_optimizer's, rates 0.02 and 3e-4.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. The first and the
last tensor of two or more axes are taken for the input's and the output's, which are Adam's there.
"""

from pytorch_optimizer import Muon

from evaluate.peers.loop import aliases, descend


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    hidden = [i for i, weight in enumerate(weights) if weight.ndim >= 2][1:-1]
    rest = [weight for i, weight in enumerate(weights) if i not in hidden]
    groups = [{"params": rest, "use_muon": False, "lr": 3e-4}]
    if hidden:
        groups.append({"params": [weights[i] for i in hidden], "use_muon": True, "lr": 0.02})
    optimizer = Muon(groups)
    descend(task, weights, lambda loss: optimizer.step())
