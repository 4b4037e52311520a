"""Times steps."""

import time

EVERY = 5  # steps of which one is waited for


class Stopwatch:
    """Times steps from the end of the one before; all times are seconds on one clock.

    An accelerator makes its steps after the call, so some are waited for.

    Args:
        wait: called to wait for the steps made so far.
    """

    def __init__(self, wait, clock=time.perf_counter):
        self.wait, self.clock = wait, clock
        self.begin = self.batch = clock()  # of the step, and of its use of the batch
        self.is_whole = True  # whether no time was left out since then
        self.steps = 0

    def loaded(self):
        """Note that a batch was loaded; returns the seconds that took since the last step."""
        self.batch = self.clock()
        return self.batch - self.begin

    def asked(self):
        """Return the seconds since the batch was loaded."""
        return self.clock() - self.batch

    def stepped(self, is_last=False):
        """Note that a step was made; returns its seconds, None if some were left out.

        Args:
            is_last: whether something else follows, which would have to wait for it.
        """
        self.steps += 1
        if is_last or self.steps % EVERY == 0:
            self.wait()
        now = self.clock()
        seconds = now - self.begin if self.is_whole else None
        self.begin, self.is_whole = now, True
        return seconds

    def skip(self):
        """Leave out the time of this step: some went into something else, such as a test."""
        self.is_whole = False
