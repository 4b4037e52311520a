"""A clock that only advances on request."""


class Clock:
    """Seconds that only advance on request.

    Call it for the time, or use it in place of the module `time`.
    """

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    perf_counter = __call__

    def spend(self, seconds):
        self.now += seconds
