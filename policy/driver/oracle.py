"""An endless supply of gradients from a task, whatever its loader and its oracle do."""

from policy.driver.contract import checked_answer
from policy.driver.rescue import ORACLE_FAILED

END = object()  # of an epoch


class Oracle:
    """Asks ``task`` for gradients, epoch after epoch.

    Loaders drop an incomplete last batch. So a batch larger than the data set yields no batch at
    all, and the batch size is halved. ``task.test`` is not called here, so its ``Done`` can't be
    caught here.

    Args:
        batch_size: `policy.driver.batch_size.BatchSize`; a change of it begins a new epoch.
        rescue: `policy.driver.rescue.Rescue`, which acts on failures.
        watch: `policy.driver.stopwatch.Stopwatch`.
    """

    def __init__(self, task, batch_size, rescue, watch):
        self.task, self.batch_size, self.rescue, self.watch = task, batch_size, rescue, watch
        self.epoch = None  # an iterator
        self.size, self.batches = 0, 0  # of its batches, and their number; 0 if unknown
        self.is_empty = True

    def answer(self):
        """Return ``(batch, loss, gradients)`` of the next batch.

        Raises RuntimeError if there is no batch even of one sample. An exception of the oracle gets
        out unless torch raised it, and also then if it comes again.
        """
        while True:
            try:
                batch = self._next_batch()
                if batch is not END:
                    loss, gradients = checked_answer(self.task.batch_loss_and_gradient(batch))
            except (MemoryError, RuntimeError) as error:
                self.leave()
                self.rescue.failed(error, is_oracle=True)
                continue
            if batch is END:
                raise RuntimeError(
                    "task.train_iterator yields no batch, even of one sample: each call must give "
                    "a fresh iterator over the data"
                )
            self.rescue.over(ORACLE_FAILED)
            return batch, loss, gradients

    def leave(self):
        """Begin a new epoch with the next batch."""
        self.epoch = None

    def _next_batch(self):
        """Return the next batch of this epoch or of a new one; END if there is none at all."""
        while True:
            if self.epoch is None or self.size != self.batch_size.size:
                self._begin_epoch()
            batch = next(self.epoch, END)
            if batch is not END:
                seconds = self.watch.loaded()
                if self.is_empty:
                    self.batch_size.opened(self.batches, seconds)
                self.is_empty = False
                return batch
            self.leave()
            if self.is_empty and self.size == 1:
                return END
            if self.is_empty:
                self.batch_size.shrink()

    def _begin_epoch(self):
        self.size, self.is_empty = self.batch_size.size, True
        epoch = self.task.train_iterator(batch_size=self.size, shuffle=True)
        self.batches = _length(epoch)
        self.epoch = iter(epoch)


def _length(epoch):
    """Return the number of batches, 0 if the iterator has no length."""
    try:
        return len(epoch)
    except (TypeError, AttributeError, NotImplementedError, ValueError):
        return 0
