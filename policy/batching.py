"""An endless supply of gradients from a task, whatever its loader and its oracle do."""

import torch

ATTEMPTS = 10  # failures of the oracle in a row before the run is given up


def oracle_answers(task, echo):
    """Yield ``(batch, loss, gradients)`` of ``task`` for ever, epoch after epoch.

    ``echo`` (:class:`policy.echo.Echo`) tells how often a batch is used, and is told the times.

    Loaders drop an incomplete last batch, so a batch larger than the data set yields none at all:
    then, and when memory runs out, the batch size is halved. After any other failure a new epoch is
    started: a test may have reset the hidden state that the rest of the old one needs.

    Raises RuntimeError where there is no batch even of one sample, or where the oracle keeps
    failing. ``task.test`` is never called here, so its ``Done`` cannot be caught.
    """
    batch_size = max(int(task.default_batch_size), 1)
    failures = 0
    while True:
        is_empty, failed, is_too_large = True, False, False
        try:
            for batch in task.train_iterator(batch_size=batch_size, shuffle=True):
                is_empty = False
                echo.loaded()
                for _ in range(echo.count()):
                    loss, gradients = task.batch_loss_and_gradient(batch)
                    failures = 0
                    yield batch, loss, list(gradients)
                    echo.used()
        except Exception as error:
            failed, is_too_large = True, is_out_of_memory(error)
            if not is_too_large or batch_size == 1:
                failures += 1
            if failures == ATTEMPTS:
                raise RuntimeError(
                    f"the task's training oracle failed {failures} times in a row: {error!r}"
                ) from error
        if is_too_large:
            batch_size = max(batch_size // 2, 1)
            torch.cuda.empty_cache()
        elif is_empty and not failed:
            if batch_size == 1:
                raise RuntimeError("task.train_iterator yields no batch, even of one sample")
            batch_size //= 2


def is_out_of_memory(error):
    """Whether an exception tells of a failed allocation, on the accelerator or the host."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "can't allocate memory" in text)
    )
