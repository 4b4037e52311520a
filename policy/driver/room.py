"""What is done when memory runs out: fewer buffers first, then smaller batches."""

import torch

# The third of cuBLAS and cuDNN, which the last two also tell of; the others are of old versions and
# of other systems.
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
LIBRARIES = ("builtins", "torch", "numpy")  # whose exceptions are nobody's own
PATIENCE_WITH_MEMORY = 10  # failures in a row, not the oracle's, before the run is given up


def is_out_of_memory(error):
    """Whether an exception tells of a failed allocation, on the accelerator or the host."""
    text = str(error)
    return is_known(error) and (
        isinstance(error, MemoryError) or any(words in text for words in MEMORY_WORDS)
    )


def raise_unless_out_of_memory(error):
    """Raise an exception that does not tell of a failed allocation."""
    if not is_out_of_memory(error):
        raise error


def raise_at_last(error, failures, where):
    """Raise an exception that does not tell of a failed allocation, and RuntimeError for the last
    of so many ``failures`` in a row that the run goes on after."""
    raise_unless_out_of_memory(error)
    if failures == PATIENCE_WITH_MEMORY:
        raise RuntimeError(
            f"memory ran out {failures} times in a row {where}: {error!r}"
        ) from error


def is_known(error):
    """Whether oracles are known to raise this, and may still go on: no memory, or torch's
    RuntimeError for, say, a hidden state of another size. The task's own exceptions and the
    caller's are none of these, whatever they derive from."""
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, (MemoryError, RuntimeError)) and library in LIBRARIES


def raise_unless_known(error):
    """Raise an exception that ends the run: the task's, the caller's or a fault."""
    if not is_known(error):
        raise error


class Room:
    """Makes room on the device of a :class:`policy.driver.learner.Learner`."""

    def __init__(self, learner, batch_size):
        self.learner, self.batch_size = learner, batch_size
        self.failures = 0  # of the driver's own step, in a row

    def spare(self):
        """Move the best weights to the host; whether that frees anything."""
        if self.learner.best is None:
            return False
        best, held = self.learner.best.cpu(), self.learner.best
        self.learner.best = best
        torch.cuda.empty_cache()
        return best is not held

    def make(self):
        """Halve a batch that is larger than the default; else spare buffers, and halve it where
        none are left."""
        if self.batch_size.size > self.batch_size.default or not self.spare():
            self.batch_size.shrink()
            torch.cuda.empty_cache()

    def recover(self, error):
        """Make room after an exception of the driver's own step.

        Raises it where memory is not the cause, and RuntimeError where room does not help.
        """
        self.failures += 1
        raise_at_last(error, self.failures, "beside the oracle")
        self.make()
