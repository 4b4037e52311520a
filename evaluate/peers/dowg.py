"""DoWG: gradient descent whose rate comes from the distance gone, in place of tuning.

Khaled, Mishchenko and Jin, "DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent
Method", NeurIPS 2023, algorithm 1, over all tensors together, with r_0 = 1e-4.
"""

import torch

from evaluate.peers.loop import aliases, descend

FIRST_DISTANCE = 1e-4


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    start = [weight.clone() for weight in weights]
    distance, weighted = torch.tensor(FIRST_DISTANCE), torch.tensor(0.0)

    def step(loss):
        nonlocal distance, weighted
        gradients = [weight.grad for weight in weights]
        distance = torch.maximum(distance, norm(torch._foreach_sub(weights, start)))
        weighted = weighted + distance**2 * norm(gradients) ** 2
        # Where every gradient so far is 0 there is nowhere to go, and 0 / 0 must not go there.
        rate = distance**2 / weighted.sqrt().clamp(min=1e-30)
        torch._foreach_sub_(weights, torch._foreach_mul(gradients, rate))

    descend(task, weights, step)


def norm(tensors):
    """Euclidean norm over all tensors together, 0-d."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)))
