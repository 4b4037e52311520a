"""Chooses the batch size while training, from measured time and measured gradient noise.

The default only has to fit memory. With the noise scale ``n = tr(covariance of a batch's gradient)
/ |mean|^2``, which falls as the batch grows, a run takes in proportion to ``1 + n`` steps
(McCandlish et al. 2018, arXiv:1812.06162, equation 2.7), if steps are as long as they should be;
steps of normalised length follow a part of that. So where a step on twice as many samples takes
hardly longer, since a small model leaves an accelerator idle or since the optimizer takes longer
than the network, a larger batch reaches the target sooner. Where the network takes nearly all of
the time and gradients agree, as they do in the first steps, a smaller one does.

Each change begins a new epoch, for which a task may read all of its data again. The gain has to
exceed that cost in the rest of the run, which is taken to be as long as the run so far: the median
for a length that is log-uniform.
"""

import math

TRIAL = 5  # steps that are timed together: on an accelerator every fifth waits for the others
SETTLING = 2  # not timed before: the step that decides, and the first at a new size, a slow one
EARLY = 2  # timed steps after which the trial of a larger size can be given up
HOPELESS = 1.6  # times a step at the size decided for: more than any noise makes up for
FIRST_DECISION = 8  # step; the next ones follow at doubled steps
LARGEST_FACTOR = 8  # between the default and any other size
LEAST_SIZE = 4
LEAST_BATCHES = 20  # in an epoch
DOUBTFUL = 0.8  # times the least that another size can take: then the time before was too long
MARGIN = 1.15  # by which another size has to win
# Noise counts several times: it grows until the next decision, and orthogonal steps go as far along
# small singular values, which have most of it, as along large ones. And steps follow a power of it.
WEIGHT, POWER = 4.0, 0.85
GROWTH = 0.5  # power of the size with which time is taken to grow until a larger one was tried
ENDLESS = 1e9  # noise of which a larger batch takes all that it can


class BatchSize:
    """Doubles or halves the batch size where that helps. ``size``, in samples, is the present one.

    The first decision for a size tries it for a few steps; then its time is known, and later
    decisions, at other noise, need no trial.
    """

    def __init__(self, default):
        self.default = self.size = self.base = default
        self.is_fixed = False
        self.batches = 0  # in an epoch of the present size; 0 if unknown: the size then stays
        self.steps = 0
        self.decision = FIRST_DECISION  # step of the next decision
        self.times = {}  # size -> seconds of TRIAL steps, the least seen
        self.spent = 0.0  # seconds of all steps
        self.opening = math.inf  # seconds until an epoch's first batch, the least seen
        self.asking = math.inf  # seconds of the oracle for a gradient, the least seen
        self.updating = math.inf  # seconds of an update of the weights, the least seen
        self.updates = 0
        self.noise = None  # what counts of it at the size decided for, at the last decision
        self._begin()

    def _begin(self):
        self.settling, self.count, self.seconds, self.least = SETTLING, 0, 0.0, math.inf

    def fix(self, size):
        """Use this size from now on."""
        self.size = self.base = size
        self.is_fixed = True

    def shrink(self):
        """Halve the size for good: the present one does not fit, nor does a default as large."""
        self.fix(max(self.size // 2, 1))
        self.default = min(self.default, self.size)

    def rate_factor(self):
        """Return the factor on learning rates: the root of the batch over the default one.

        The square-root rule of Adam (Malladi et al. 2022, arXiv:2205.10287). A smaller batch keeps
        the rates.
        """
        return max(self.size / self.default, 1.0) ** 0.5

    def opened(self, batches, seconds):
        """Note a new epoch: its number of batches (0 if unknown), and seconds until the first."""
        self.batches = batches
        self.opening = min(self.opening, seconds)

    def updated(self, asking, updating):
        """Note the seconds of a gradient and of an update, which the size does not change."""
        self.asking = min(self.asking, asking)
        self.updating = min(self.updating, updating)
        self.updates += 1

    def is_burdened(self):
        """Return whether updates take longer than gradients. True once at most, after the steps
        that are not timed, so that all timed steps are alike."""
        return self.updates == SETTLING and self.updating > self.asking

    def forget(self):
        """Drop what was measured, for the run restarts with other updates, at the default size
        unless one was fixed."""
        if not self.is_fixed:
            self.base = self.default
        self.size = self.base
        self.times, self.updating = {}, math.inf
        self._begin()

    def made(self, seconds):
        """Note the seconds of a step, from the loading of its batch to its end; None if something
        else came between."""
        self.steps += 1
        self.spent += seconds or 0.0
        if self.settling:
            self.settling -= 1
        elif seconds is not None:
            self.count += 1
            self.seconds += seconds
            self.least = min(self.least, seconds)
            if self._is_hopeless():
                self._timed(TRIAL * self.least)
            elif self.count == TRIAL:
                self._timed(min(self.times.get(self.size, self.seconds), self.seconds))

    def _is_hopeless(self):
        """Return whether all of a larger size's first timed steps took too long."""
        early = self.size > self.base and self.count == EARLY
        return early and TRIAL * self.least > HOPELESS * self.times[self.base]

    def _timed(self, seconds):
        self.times[self.size] = seconds
        self.count, self.seconds = 0, 0.0
        if self.is_trial():
            self._end_trial(seconds)

    def _end_trial(self, seconds):
        if seconds < DOUBTFUL * self._least_time(self.size):
            del self.times[self.base]  # other work had kept the machine busy: measure again
            self._use(self.base)
            return
        wins = self._gain(self.size, self.noise) > MARGIN
        self._use(self.size if wins else self.base)
        if wins:
            self._choose()  # at once: where a factor of two helps, one of four may

    def is_due(self):
        """Return whether to measure noise and decide: only if some noise would change the size."""
        if self.is_fixed or self.is_trial() or not self.batches or self.steps < self.decision:
            return False
        return self.times.get(self.base, 0.0) > 0 and any(
            self._gain(size, ENDLESS if size > self.base else 0.0) > MARGIN
            for size in self._neighbours()
        )

    def is_trial(self):
        """Return whether a size other than the chosen one is being tried."""
        return self.size != self.base

    def decide(self, noise):
        """Choose the size, given the noise scale of a gradient at the present one.

        A size that was fixed meanwhile stays.
        """
        if self.is_fixed:
            return
        while self.decision <= self.steps:
            self.decision *= 2
        self.noise = WEIGHT * noise
        self._choose()

    def _choose(self):
        """Move to the better neighbour if it wins; try it first if its time is unknown."""
        gains = [(self._gain(size, self.noise), size) for size in self._neighbours()]
        gain, size = max(gains + [(1.0, 0)])
        if gain > MARGIN and size in self.times:
            self._use(size)
        elif gain > MARGIN:
            self.size = size
            self._begin()

    def _neighbours(self):
        larger, smaller = 2 * self.base, self.base // 2
        is_allowed = self.batches >= 2 * LEAST_BATCHES and larger <= LARGEST_FACTOR * self.default
        if larger <= self.default or is_allowed:
            yield larger
        if smaller >= max(LEAST_SIZE, self.default / LARGEST_FACTOR):
            yield smaller

    def _gain(self, size, noise):
        """Return how many times as fast the rest of the run would be at another size. ``noise``:
        weighted noise at the chosen size."""
        there = noise * self.base / size
        fewer_steps = ((1 + noise) / (1 + there)) ** POWER
        rest = self.spent * self._time(size) / self.times[self.base] / fewer_steps
        return (self.spent + self._change(self.base)) / (rest + self._change(size))

    def _change(self, size):
        """Return the seconds of going to a size, and of coming back if it is only tried."""
        return self.opening * ((size != self.size) + (size not in self.times))

    def _time(self, size):
        """Return the seconds of TRIAL steps: measured, else on the line through the sizes at either
        side, else a guess, which for a smaller size is the least."""
        if size in self.times:
            return self.times[size]
        opposite = 2 * self.base if size < self.base else self.base // 2
        if opposite not in self.times:
            return self._scaled(size, GROWTH)
        now = self.times[self.base]
        slope = (now - self.times[opposite]) / (self.base - opposite)
        return max(now + slope * (size - self.base), self._least_time(size))

    def _least_time(self, size):
        """Return the time if more samples cost nothing, and fewer save all that they can."""
        return self._scaled(size, 0.0)

    def _scaled(self, size, growth):
        """Return the time if all but updates grows as a power of the size, and shrinks with it."""
        now = self.times[self.base]
        update = min(TRIAL * self.updating, now)
        power = 1.0 if size < self.base else growth
        return update + (now - update) * (size / self.base) ** power

    def _use(self, size):
        self.noise = self.noise * self.base / size
        self.base = size
        if size != self.size:
            self.size = size
            self._begin()
