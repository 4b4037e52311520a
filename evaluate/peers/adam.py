"""The baseline: bias-corrected Adam with the defaults of its paper, tested once an epoch.

Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1:
learning rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8. No schedule, no averaging, no tuning.
"""

import torch


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    # Detached aliases share the model's storage, so steps reach the model, while its own .grad
    # fields, which the oracle may use, stay untouched.
    weights = [weight.detach() for weight in task.state]
    optimizer = torch.optim.Adam(weights, lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    batch_size = task.default_batch_size
    while True:
        batch = None
        for batch in task.train_iterator(batch_size=batch_size, shuffle=True):
            _, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient
            optimizer.step()
        if batch is None:
            raise ValueError(f"train_iterator(batch_size={batch_size}) yields no batch")
        task.test(task.state)
