"""Chooses the batch size while training, from measured time and measured gradient noise.

The default only has to fit memory. Where a step on twice as many samples takes hardly longer, as on
an accelerator that a small model leaves idle, the larger batch reaches the target sooner, if its
gradient is better: with the noise scale ``n = tr(covariance of a batch's gradient) / |mean|^2``, a
perfect step length would make twice the batch worth ``(1 + n) / (1 + n / 2)`` steps (McCandlish et
al. 2018, arXiv:1812.06162, equation 2.7). Adam's steps don't grow with the batch, and get the root.
"""

TRIAL = 20  # steps that are timed at a size: a trial that fails must cost little
SETTLING = 5  # steps before, not timed: a new size is slow at first
FIRST_DECISION = 200  # step; the next ones follow at doubled steps
LARGEST_FACTOR = 8  # times the default
LEAST_BATCHES = 20  # in an epoch
MARGIN = 1.1  # by which the larger size has to win


class BatchSize:
    """Doubles the batch size where that pays. ``size`` is the one to use now, in samples.

    Never on a CPU (``grows`` false): there, time goes with the number of samples.

    The first decision that may go for twice the size tries it for some steps; the ratio of times is
    then known, and later decisions, at other noise, need no trial.
    """

    def __init__(self, default, grows=True):
        self.default = self.size = self.base = default
        self.is_fixed = not grows
        self.batches = 0  # in an epoch of the present size, 0 if unknown
        self.steps = 0
        self.decision = FIRST_DECISION  # step of the next decision
        self.age = 0  # steps since the size was set
        self.seconds = 0.0  # of those that were timed
        self.times = {}  # size -> seconds a step

    def fix(self, size):
        """Use this size from now on."""
        self.size, self.is_fixed = size, True

    def made(self, seconds):
        """A step was made, of so many seconds from the loading of its batch to its end."""
        self.steps += 1
        self.age += 1
        if SETTLING < self.age <= SETTLING + TRIAL:
            self.seconds += seconds
        if self.age == SETTLING + TRIAL:
            self.times[self.size] = self.seconds / TRIAL

    def is_due(self):
        """Whether there is something to decide."""
        if self.is_fixed or self.age < SETTLING + TRIAL:
            return False
        return self.is_trial() or self.steps >= self.decision

    def is_trial(self):
        """Whether twice the size decided for is being tried."""
        return self.size != self.base

    def decide(self, noise):
        """Choose the size; ``noise`` is that of a gradient at the present size, see above."""
        larger = 2 * self.base
        if self.is_trial():
            noise = 2 * noise  # at the smaller of the two
        else:
            self.decision *= 2
            if self.batches < 2 * LEAST_BATCHES or larger > LARGEST_FACTOR * self.default:
                return
        cost = self.times[larger] / self.times[self.base] if larger in self.times else 1.0
        wins = _worth(noise) > MARGIN * cost
        if wins and larger in self.times:
            self.base = larger
        self._use(larger if wins else self.base)

    def _use(self, size):
        if size != self.size:
            self.size, self.age, self.seconds = size, 0, 0.0


def _worth(noise):
    """Steps at the present size that one step at twice the size is worth."""
    return ((1 + noise) / (1 + noise / 2)) ** 0.5
