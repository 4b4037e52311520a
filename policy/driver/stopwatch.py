"""Times steps."""

import time


class Stopwatch:
    """Times each step from the end of the previous one. All times are seconds on one clock.

    Args:
        wait: function that waits until an accelerator has made the steps so far.
    """

    def __init__(self, wait, clock=time.perf_counter):
        self.wait, self.clock = wait, clock
        self.begin = self.batch = clock()  # when the step began, and when its batch was loaded

    def restart(self):
        """Begin a step now; the time before belongs to none."""
        self.begin = self.clock()

    def loaded(self):
        """Record that a batch was loaded; return the seconds since the previous step."""
        self.batch = self.clock()
        return self.batch - self.begin

    def asked(self):
        """Return the seconds since the batch was loaded."""
        return self.clock() - self.batch

    def stepped(self, is_exact):
        """Record that a step was made; return its seconds. If ``is_exact``, wait for it first."""
        if is_exact:
            self.wait()
        seconds = self.clock() - self.begin
        self.restart()
        return seconds
