"""Decides whether LearnedLR orthogonalises wide matrices in blocks, as the driver does."""

import math
import time

AUTO = "auto"  # until it is decided
CHEAP_BLOCK = 128  # rows or columns; of 64, regressors end at 1.1 times the loss
TIMED_STEPS = 3  # the first steps, the quickest of which counts


class UpdateTimer:
    """Times the first updates of the weights, and the gradients between them.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock=time.perf_counter):
        self.clock = clock
        self.begun = self.ended = None  # the present update, the last one
        self.gradient = self.update = math.inf  # least seconds

    def begin(self):
        """Record that the gradients are there."""
        self.begun = self.clock()
        if self.ended is not None:
            self.gradient = min(self.gradient, self.begun - self.ended)

    def end(self):
        """Record that the weights are updated."""
        self.ended = self.clock()
        self.update = min(self.update, self.ended - self.begun)

    def is_update_longer(self):
        """Return whether an update takes longer than a gradient."""
        return self.update > self.gradient
