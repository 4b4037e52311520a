"""Times steps."""

import time


class Stopwatch:
    """Times steps from the end of the one before; all times are seconds on one clock.

    Args:
        wait: called to wait for the steps made so far, which an accelerator makes after the call.
    """

    def __init__(self, wait, clock=time.perf_counter):
        self.wait, self.clock = wait, clock
        self.begin = self.batch = clock()  # of the step, and of its use of the batch

    def restart(self):
        """Begin a step now: what came before was none."""
        self.begin = self.clock()

    def loaded(self):
        """Note that a batch was loaded; returns the seconds that took since the last step."""
        self.batch = self.clock()
        return self.batch - self.begin

    def asked(self):
        """Return the seconds since the batch was loaded."""
        return self.clock() - self.batch

    def stepped(self, is_exact):
        """Note that a step was made; returns its seconds, exact ones where that is waited for."""
        if is_exact:
            self.wait()
        seconds = self.clock() - self.begin
        self.restart()
        return seconds
