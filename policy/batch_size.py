"""Chooses the batch size while training, from measured time and measured gradient noise.

The default only has to fit memory. Where a step on twice as many samples takes hardly longer, since
a small model leaves an accelerator idle or since the optimizer takes longer than the network, the
larger batch reaches the target sooner, if its gradient is better: with the noise scale
``n = tr(covariance of a batch's gradient) / |mean|^2``, a perfect step length would make twice the
batch worth ``(1 + n) / (1 + n / 2)`` steps (McCandlish et al. 2018, arXiv:1812.06162, equation
2.7). Steps of normalised length, which grow with the root of the batch, get the root of that.
"""

import math

TRIAL = 5  # steps that are timed together: on an accelerator every fifth waits for the others
SETTLING = 2  # steps before, not timed: a new size is slow at first
EARLY = 2  # timed steps after which a trial can be given up
HOPELESS = 1.5  # times a step at the size decided for: more than any noise makes up for
FIRST_DECISION = 12  # step; the next ones follow at doubled steps
LARGEST_FACTOR = 8  # times the default
LEAST_BATCHES = 20  # in an epoch
MARGIN = 1.1  # by which the larger size has to win


class BatchSize:
    """Doubles the batch size where that pays. ``size`` is the one to use now, in samples.

    The first decision that may go for twice the size tries it for a few steps; the ratio of times
    is then known, and later decisions, at other noise, need no trial.
    """

    def __init__(self, default):
        self.default = self.size = self.base = default
        self.is_fixed = False
        self.batches = 0  # in an epoch of the present size, 0 if unknown
        self.steps = 0
        self.decision = FIRST_DECISION  # step of the next decision
        self.times = {}  # size -> seconds of TRIAL steps, the least seen
        self._begin()

    def _begin(self):
        self.settling, self.count, self.seconds, self.least = SETTLING, 0, 0.0, math.inf

    def fix(self, size):
        """Use this size from now on."""
        self.size, self.is_fixed = size, True

    def rate_factor(self):
        """What to multiply learning rates by: the root of the batch over the default one.

        The square-root rule of Adam (Malladi et al. 2022, arXiv:2205.10287). A batch that had to
        become smaller keeps the rates.
        """
        return max(self.size / self.default, 1.0) ** 0.5

    def made(self, seconds):
        """A step was made, of so many seconds from the loading of its batch to its end; None if
        something else came between."""
        self.steps += 1
        if self.settling:
            self.settling -= 1
        elif seconds is not None:
            self.count += 1
            self.seconds += seconds
            self.least = min(self.least, seconds)
            if self._is_hopeless():
                self.times[self.size] = TRIAL * self.least
            elif self.count == TRIAL:
                self.times[self.size] = min(self.times.get(self.size, self.seconds), self.seconds)
                self.count, self.seconds = 0, 0.0

    def _is_hopeless(self):
        """Whether all of a trial's first timed steps took too long."""
        early = self.is_trial() and self.count == EARLY
        return early and TRIAL * self.least > HOPELESS * self.times[self.base]

    def is_due(self):
        """Whether there is something to decide."""
        if self.is_fixed or self.size not in self.times:
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
            self.size = size
            self._begin()


def _worth(noise):
    """Steps at the present size that one step at twice the size is worth."""
    return ((1 + noise) / (1 + noise / 2)) ** 0.5
