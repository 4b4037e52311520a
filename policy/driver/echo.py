"""How often to train on a batch before the next is loaded (Choi et al. 2019, arXiv:1907.05550).

Where loading a batch takes longer than a step on it, the step may be repeated at little cost; a
repeated batch is worth nearly as much as a fresh one as long as there are few repetitions.
"""

import time

MOST = 3  # uses of a batch
WARMUP = 10  # batches before any is repeated: the first ones are often slow
LAP_DECAY = 0.98  # per batch that is timed, of the times
EVERY = 5  # batches of which one is timed where steps have to be waited for


class Echo:
    """Measures loading against use; all times are seconds on one clock.

    An iterator that loads ahead while a step is computed makes loading look as short as it is felt.

    An accelerator makes steps after the call. Some iterators wait for them, as each copy from the
    host to it does, so that steps would be taken for loading. So it is waited for before some
    batches are loaded, and after their steps, and only these count; and before what is left out.

    Args:
        wait: called to wait for the steps made so far; None where they are made at once.
    """

    def __init__(self, clock=time.perf_counter, wait=None):
        self.clock, self.wait = clock, wait
        self.batches = self.timed = 0
        self.loading = self.using = self.uses = 0.0
        self.opening = 0.0  # share of a batch in what begins its epoch
        self.begin = clock()
        self.pending = 0.0  # loading time of a batch not used yet
        self.is_whole = True  # whether no time was left out since then
        self.is_over = False  # whether the batch is not to be used again
        self.is_left = False  # whether the epoch is not to be gone on with

    def loaded(self, batches=0):
        """A batch has come: the first of an epoch of so many, or 0 for any other. Returns the
        seconds since :meth:`used`, spent on loading it.

        What begins an epoch may take long and is shared by all its batches.
        """
        self.batches += 1
        self.is_over = self.is_left = False
        self.pending = self._lap()
        if batches:
            self.opening = self.pending / batches
        if self._is_timed(self.batches):
            self.timed += 1
            self.loading = LAP_DECAY * self.loading + (0.0 if batches else self.pending)
            self.using, self.uses = LAP_DECAY * self.using, LAP_DECAY * self.uses
        return self.pending

    def used(self):
        """A step was made, in the time since the last call. Returns the seconds of it and of
        loading, if the batch is used for the first time; None if some were left out."""
        is_timed = self._is_timed(self.batches)
        if self.wait and (self.is_over or is_timed or self._is_timed(self.batches + 1)):
            self.wait()
        spent, pending, is_whole = self._lap(), self.pending, self.is_whole
        self.pending, self.is_whole = 0.0, True
        if not is_whole:
            return None
        if is_timed:
            self.using += spent
            self.uses += 1
        return pending + spent

    def skip(self):
        """Leave out the time since the last call: it went into something else, such as a test."""
        self.begin, self.is_whole = self.clock(), False

    def drop(self):
        """Do not use the present batch again, whatever :meth:`count` told of it."""
        self.is_over = True

    def leave(self):
        """Begin a new epoch with the next batch."""
        self.is_over = self.is_left = True

    def count(self):
        """How often to use the batch just loaded."""
        if self.batches <= WARMUP or not self.uses:
            return 1
        total = (1 - LAP_DECAY**self.timed) / (1 - LAP_DECAY)
        per_batch, per_use = self.loading / total + self.opening, self.using / self.uses
        return int(max(1, min(MOST, per_batch / max(per_use, 1e-9))))

    def _is_timed(self, batch):
        return not self.wait or batch % EVERY == 0

    def _lap(self):
        now = self.clock()
        spent, self.begin = now - self.begin, now
        return spent
