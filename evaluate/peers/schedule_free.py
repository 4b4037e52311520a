"""Schedule-free AdamW, its authors' package with its defaults, tested at its averaged weights.

Defazio et al., "The Road Less Scheduled", NeurIPS 2024; learning rate 2.5e-3.
"""

from schedulefree import AdamWScheduleFree

from evaluate.peers.loop import aliases, descend, test_refreshed


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    optimizer = AdamWScheduleFree(weights)
    optimizer.train()

    def test(recent):
        optimizer.eval()  # puts the average into the model
        test_refreshed(task, recent)
        optimizer.train()

    descend(task, weights, lambda loss: optimizer.step(), test)
