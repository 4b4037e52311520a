"""Acts when a run goes wrong: an event comes in, one action follows.

The number of times in a row that an event has occurred decides the action (`LADDERS`). Sound
weights are the averaged ones, or else the best ones. A failure of the oracle begins a new epoch,
since a test may have reset the hidden state that the rest of the old one needs. When memory runs
out, a batch larger than the default is halved; otherwise the best weights move to the host; if they
are there already, the batch is halved below the default. In a test only the best weights can make
room.
"""

import torch

BACK_OFF = 0.5  # factor on all rates at each return to sound weights after the first
CALM = 0.25  # factor on all rates when the run is too slow
# Adam's rates after restarts: the second is the default of its paper, for networks that can't take
# the first.
RESTART_RATES = 3e-3, 1e-3
BAD_LOSS, BAD_WEIGHTS, ORACLE_FAILED = "loss not finite", "weights not finite", "oracle failed"
NO_MEMORY, NO_TEST_MEMORY = "no memory", "no memory in a test"
TOO_SLOW, MEMORISES, STUCK, ON_PACE = "too slow", "memorises", "stuck", "on pace"
SKIP_STEP, RESTORE, RENEW, GIVE_UP = "skip", "restore", "new epoch", "give up"
SHRINK, SPARE, LOWER, RESTART = "smaller batch", "spare", "lower", "restart"
LADDERS = {  # event -> (least times in a row, action), ...
    BAD_LOSS: ((1, SKIP_STEP), (2, RESTORE), (21, GIVE_UP)),
    BAD_WEIGHTS: ((1, RESTORE),),
    ORACLE_FAILED: ((1, RENEW), (2, GIVE_UP)),
    NO_MEMORY: ((1, SHRINK), (20, GIVE_UP)),
    NO_TEST_MEMORY: ((1, SPARE), (10, GIVE_UP)),
    TOO_SLOW: ((1, LOWER), (2, RESTART)),
    MEMORISES: ((1, RESTART),),
    STUCK: ((1, RESTART),),
}
# The third and the last two are of cuBLAS and cuDNN, others of old versions and other systems.
MEMORY_WORDS = (
    "out of memory",
    "can't allocate memory",
    "ALLOC_FAILED",
    "resource allocation failed",
    "posix_memalign",
    "not enough memory",
    "valid cuDNN algorithm",
    "unable to find an engine",
)
LIBRARIES = ("builtins", "torch", "numpy")  # their exceptions are not the task's own


def is_known(error):
    """Return whether an oracle may work again after this exception: one for a lack of memory, or
    torch's RuntimeError for, say, a hidden state of another size. Exception types of the task and
    of the caller are not known, whatever they derive from."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, (MemoryError, RuntimeError)) and library in LIBRARIES


def is_out_of_memory(error):
    """Return whether an exception is a failed allocation, on the accelerator or the host."""
    text = str(error)
    return is_known(error) and (
        isinstance(error, MemoryError) or any(words in text for words in MEMORY_WORDS)
    )


class Rescue:
    """Counts what goes wrong with a `policy.driver.learner.Learner`, and acts."""

    def __init__(self, learner, batch_size):
        self.learner, self.batch_size = learner, batch_size
        self.counts = dict.fromkeys(LADDERS, 0)  # times in a row
        self.has_begun = False  # whether any loss was finite
        self.is_restored = False  # whether weights were restored since the last finite loss
        self.returns = 0  # to sound weights; several in a row count once
        self.restarts = 0
        self.acts = {
            RESTORE: self._restore,
            RENEW: self._renew,
            SHRINK: self._shrink,
            SPARE: self._spare,
            LOWER: lambda: learner.lower_rates(CALM),
            RESTART: self._restart,
        }

    def can_restart(self):
        """Return whether another restart is left."""
        return self.restarts < len(RESTART_RATES)

    def over(self, *events):
        """Reset the counts of these events."""
        for event in events:
            self.counts[event] = 0

    def meet(self, event, error=None):
        """Count an event and act on it; returns the action.

        If nothing is left to do, raises ``error``, or for a lack of memory a RuntimeError.
        """
        self.counts[event] += 1
        count = self.counts[event]
        action = [act for least, act in LADDERS[event] if count >= least][-1]
        if action == GIVE_UP:
            self._give_up(event, error)
        if action in self.acts:
            self.acts[action]()
        return action

    def accepts(self, loss):
        """Return whether a training loss is finite, so that its step may be made."""
        if loss - loss == 0:
            self.has_begun, self.is_restored = True, False
            self.over(BAD_LOSS, BAD_WEIGHTS)
            return True
        where = "also after a return to sound weights" if self.has_begun else "from the start"
        error = RuntimeError(
            f"the task's training loss is {loss} for {self.counts[BAD_LOSS]} batches or more, "
            f"{where}: check its data and initial weights"
        )
        if self.meet(BAD_LOSS, error) == SKIP_STEP and not self.learner.is_finite():
            self.meet(BAD_WEIGHTS)
        return False

    def failed(self, error, is_oracle):
        """Act on an exception from the oracle or from the driver's own step. Raises it unless it is
        known; of the driver's step only a lack of memory is."""
        if is_out_of_memory(error):
            self.meet(NO_MEMORY, error)
        elif is_oracle and is_known(error):
            self.meet(ORACLE_FAILED, error)
        else:
            raise error

    def _give_up(self, event, error):
        if event in (NO_MEMORY, NO_TEST_MEMORY):
            raise RuntimeError(
                f"memory ran out {self.counts[event]} times in a row: {error!r}"
            ) from error
        raise error

    def _restore(self):
        self.learner.restore(self.is_restored)
        if not self.is_restored:
            self.is_restored = True
            self.returns += 1
            if self.returns > 1:
                self.learner.lower_rates(BACK_OFF)

    def _renew(self):
        if self.batch_size.size != self.batch_size.default:
            self.batch_size.fix(self.batch_size.default)

    def _spare(self):
        """Move the best weights to the host; return whether that freed memory."""
        if self.learner.best is None:
            return False
        best, held = self.learner.best.cpu(), self.learner.best
        self.learner.best = best
        torch.cuda.empty_cache()
        return best is not held

    def _shrink(self):
        if self.batch_size.size > self.batch_size.default or not self._spare():
            self.batch_size.shrink()
            torch.cuda.empty_cache()

    def _restart(self):
        self.learner.restart(RESTART_RATES[self.restarts])
        self.restarts += 1
        self.batch_size.fix(self.batch_size.default)
