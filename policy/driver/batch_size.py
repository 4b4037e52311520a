"""Chooses the batch size while training, from measured time and measured gradient noise.

The default only has to fit memory. With the noise scale ``n = tr(covariance of a batch's gradient)
/ |mean|^2``, which falls as the batch grows, a run takes in proportion to ``1 + n`` steps
(McCandlish et al. 2018, arXiv:1812.06162, equation 2.7), if steps are as long as they should be. So
where a step on twice as many samples takes hardly longer, since a small model leaves an accelerator
idle or since the optimizer takes longer than the network, a larger batch reaches the target sooner.
Where the network takes nearly all of the time and gradients agree, as they do in the first steps, a
smaller one does.

Each change begins a new epoch, for which a task may read all of its data again. The gain has to
exceed that cost in the rest of the run, which is taken to be as long as the run so far: the median
for a length that is log-uniform.
"""

import math

SETTLING = 2  # steps at a new size that are not timed: the first is a slow one
TIMED = 3  # steps after them, of which the quickest counts
FIRST_DECISION = 8  # step; the next ones follow at doubled steps
LARGEST_FACTOR = 8  # between the default and any other size
LEAST_SIZE = 4
LEAST_BATCHES = 20  # in an epoch
MARGIN = 1.2  # by which a size has to win over the one that is nearer to the default
GROWTH = 0.5  # power of the size with which time is taken to grow until a larger one was tried
RATE_GROWTH = 0.25  # power of the size, above the default, with which rates grow
# Noise counts several times: it grows until the next decision, and orthogonal steps go as far along
# small singular values, which have most of it, as along large ones.
WEIGHT = 4.0
ENDLESS = 1e12  # noise of which a larger batch takes all that it can


class BatchSize:
    """Doubles or halves the batch size where that helps. ``size``, in samples, is the present one.

    The first decision for a size makes a few steps with it; then its time is known, and the
    decision is made again.
    """

    def __init__(self, default):
        self.default = self.size = default
        self.is_fixed = False
        self.batches = 0  # in an epoch of the present size; 0 if unknown: the size then stays
        self.steps = self.count = 0  # of the run; of the present size since it was chosen
        self.decision = FIRST_DECISION  # step of the next decision
        self.times = {}  # size -> seconds of a step, the least seen
        self.spent = 0.0  # seconds of all steps
        self.opening = math.inf  # seconds until an epoch's first batch, the least seen
        self.asking = math.inf  # seconds of the oracle for a gradient, the least seen
        self.updating = math.inf  # seconds of an update of the weights, the least seen
        self.noise = None  # what counts of it in a batch of one sample, at the last decision

    def fix(self, size):
        """Use this size from now on."""
        self.size, self.is_fixed = size, True

    def shrink(self):
        """Halve the size for good: the present one does not fit, nor does a default as large."""
        self.fix(max(self.size // 2, 1))
        self.default = min(self.default, self.size)

    def rate_factor(self):
        """Return the factor on learning rates: the fourth root of the batch over the default one.

        With Adam it is the root (Malladi et al. 2022, arXiv:2205.10287). The controller sees that
        there is less noise, and raises rates by itself. A smaller batch keeps the rates.
        """
        return max(self.size / self.default, 1.0) ** RATE_GROWTH

    def opened(self, batches, seconds):
        """Note a new epoch: its number of batches (0 if unknown), and seconds until the first."""
        self.batches = batches
        self.opening = min(self.opening, seconds)

    def updated(self, asking, updating):
        """Note the seconds of a gradient and of an update, which the size does not change."""
        self.asking = min(self.asking, asking)
        self.updating = min(self.updating, updating)

    def is_timing(self):
        """Return whether steps of the present size are timed: then each has to be waited for."""
        return self.count < SETTLING + TIMED

    def made(self, seconds):
        """Note the seconds of a step, from the loading of its batch to its end."""
        self.steps += 1
        self.spent += seconds
        if not self.is_timing():
            return
        self.count += 1
        if self.count > SETTLING:
            self.times[self.size] = min(self.times.get(self.size, math.inf), seconds)
        if self.noise is not None and not self.is_fixed and not self.is_timing():
            self._choose()

    def is_due(self):
        """Return whether to measure noise and decide: only if some noise would change the size."""
        if self.is_fixed or not self.batches or self.steps < self.decision or self.is_timing():
            return False
        return any(
            self._gain(size, noise) > self._least_gain(size)
            for size in self._neighbours()
            for noise in (0.0, ENDLESS)
        )

    def decide(self, noise):
        """Choose the size, given the noise scale of a gradient at the present one.

        A size that was fixed meanwhile stays.
        """
        while self.decision <= self.steps:
            self.decision *= 2
        if not self.is_fixed:
            self.noise = WEIGHT * noise * self.size
            self._choose()

    def _choose(self):
        """Move to the better neighbour if it wins."""
        gains = {size: self._gain(size, self.noise) for size in self._neighbours()}
        size = max(gains, key=lambda size: gains[size] / self._least_gain(size), default=self.size)
        if size != self.size and gains[size] > self._least_gain(size):
            self.size, self.count = size, 0

    def _least_gain(self, size):
        return MARGIN if abs(size - self.default) > abs(self.size - self.default) else 1 / MARGIN

    def _neighbours(self):
        larger, smaller = 2 * self.size, self.size // 2
        is_allowed = self.batches >= 2 * LEAST_BATCHES and larger <= LARGEST_FACTOR * self.default
        if larger <= self.default or is_allowed:
            yield larger
        if smaller >= max(LEAST_SIZE, self.default / LARGEST_FACTOR):
            yield smaller

    def _gain(self, size, noise):
        """Return how many times as fast the rest of the run would be at another size. ``noise``:
        weighted noise of a batch of one sample."""
        fewer_steps = (1 + noise / self.size) / (1 + noise / size)
        rest = self.spent * self._time(size) / self.times[self.size] / fewer_steps
        changes = 1 if size in self.times else 2  # it may have to come back
        return self.spent / (rest + changes * self.opening)

    def _time(self, size):
        """Return the seconds of a step: measured, or a guess by which all but the update grows as a
        power of the size, and shrinks with it."""
        if size in self.times:
            return self.times[size]
        now = self.times[self.size]
        update = min(self.updating, now)
        return update + (now - update) * (size / self.size) ** (GROWTH if size > self.size else 1.0)
