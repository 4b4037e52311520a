"""Chooses the batch size while training, from measured time and measured gradient noise.

The default batch size need only fit memory. The noise scale ``n = tr(covariance of a batch's
gradient) / |mean|^2`` falls as the batch grows. With steps of the best length, the number of steps
of a run is proportional to ``1 + n`` (McCandlish et al. 2018, arXiv:1812.06162, equation 2.7). If a
step on twice as many samples takes hardly longer, since a small model leaves an accelerator idle or
the optimizer takes longer than the network, a larger batch reaches the target sooner. If the
network takes nearly all of the time and gradients agree, as in the first steps, a smaller one does.

Each change begins a new epoch, for which a task may read all of its data again. The gain in the
rest of the run has to exceed that cost. The rest is taken to be as long as the run so far, the
median for a log-uniform length.
"""

import math

SETTLING = 2  # first steps at a new size, which are not timed, being slow
TIMED = 3  # steps after them; the quickest counts
FIRST_DECISION = 8  # step; the next decisions follow at doubled steps
LARGEST_FACTOR = 8  # between the default and any other size
LEAST_SIZE = 4  # samples
LEAST_BATCHES = 20  # in an epoch
MARGIN = 1.2  # gain that a size farther from the default needs
GROWTH = 0.5  # assumed power of a larger size with which a step's time grows
RATE_GROWTH = 0.25  # power of the size, above the default, with which rates grow
# Factor on the noise, which grows until the next decision. Besides, orthogonal steps go as far
# along small singular values, which contain most of it, as along large ones.
WEIGHT = 4.0
ENDLESS = 1e12  # noise for which the gain of a larger batch is greatest


class BatchSize:
    """Doubles or halves the batch size if that helps. ``size`` is the present one, in samples.

    After the first decision for a size a few steps measure its time; then the decision is repeated.
    """

    def __init__(self, default):
        self.default = self.size = default
        self.is_fixed = False
        self.batches = 0  # in an epoch of the present size; if 0, unknown, the size stays
        self.steps = self.count = 0  # in the run; at the present size
        self.decision = FIRST_DECISION  # step of the next decision
        self.times = {}  # size -> least seconds of a step
        self.spent = 0.0  # seconds of all steps
        self.opening = math.inf  # least seconds until an epoch's first batch
        self.asking = math.inf  # least seconds of the oracle for a gradient
        self.updating = math.inf  # least seconds of an update of the weights
        self.noise = None  # weighted noise of a batch of one sample, at the last decision

    def fix(self, size):
        """Use this size from now on."""
        self.size, self.is_fixed = size, True

    def shrink(self):
        """Halve the size for good, and limit the default to it."""
        self.fix(max(self.size // 2, 1))
        self.default = min(self.default, self.size)

    def rate_factor(self):
        """Return the factor on learning rates: the fourth root of the batch over the default one.

        With Adam the square root is usual (Malladi et al. 2022, arXiv:2205.10287), but the
        controller sees that there is less noise and raises rates itself. A smaller batch keeps
        the rates.
        """
        return max(self.size / self.default, 1.0) ** RATE_GROWTH

    def opened(self, batches, seconds):
        """Record a new epoch: its number of batches (0 if unknown), and seconds until the first."""
        self.batches = batches
        self.opening = min(self.opening, seconds)

    def updated(self, asking, updating):
        """Record the seconds of a gradient and of an update."""
        self.asking = min(self.asking, asking)
        self.updating = min(self.updating, updating)

    def is_timing(self):
        """Return whether steps of the present size are timed, so that each is waited for."""
        return self.count < SETTLING + TIMED

    def made(self, seconds):
        """Record the seconds of a step, from the loading of its batch to its end."""
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
        """Return whether to measure noise and decide: only if some noise can change the size."""
        if self.is_fixed or not self.batches or self.steps < self.decision or self.is_timing():
            return False
        return any(
            self._gain(size, noise) > self._least_gain(size)
            for size in self._neighbours()
            for noise in (0.0, ENDLESS)
        )

    def decide(self, noise):
        """Choose the size, given the noise scale of a gradient at the present one. A fixed size
        stays."""
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
        """Return the speed of the rest of the run at another size, over that at the present one.
        ``noise`` is the weighted noise of a batch of one sample."""
        fewer_steps = (1 + noise / self.size) / (1 + noise / size)
        rest = self.spent * self._time(size) / self.times[self.size] / fewer_steps
        changes = 1 if size in self.times else 2  # it may have to come back
        return self.spent / (rest + changes * self.opening)

    def _time(self, size):
        """Return the seconds of a step: measured, or assumed. Then the update takes as long as now,
        and the rest grows as a power of the size, or shrinks in proportion."""
        if size in self.times:
            return self.times[size]
        now = self.times[self.size]
        update = min(self.updating, now)
        return update + (now - update) * (size / self.size) ** (GROWTH if size > self.size else 1.0)
