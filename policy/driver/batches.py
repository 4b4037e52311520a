"""An endless supply of gradients from a task, whatever its loader and its oracle do."""

from policy.driver.room import is_out_of_memory, raise_unless_known

ATTEMPTS = 2  # failures of the oracle in a row, but for memory, that end the run


def oracle_answers(task, batch_size, echo, room):
    """Yield ``(batch, loss, gradients)`` of ``task`` for ever, epoch after epoch.

    Loaders drop an incomplete last batch, so a batch larger than the data set yields none at all:
    then the batch size is halved. When memory runs out, room is made. After another RuntimeError of
    torch's a new epoch is started, of the default batch size: a test may have reset the hidden
    state that the rest of the old one needs.

    Args:
        batch_size: :class:`policy.driver.batch_size.BatchSize`; a change of it starts a new epoch.
        echo: :class:`policy.driver.echo.Echo`, which tells how often to use a batch.
        room: :class:`policy.driver.room.Room`.

    Raises RuntimeError where there is no batch even of one sample, and what the oracle raises if it
    does so twice in a row or if it is nothing that torch raises.
    """
    failures = 0
    while True:
        is_empty, failed, is_too_large = True, False, False
        size = batch_size.size
        try:
            epoch = task.train_iterator(batch_size=size, shuffle=True)
            batches = _length(epoch)
            for batch in epoch:
                seconds = echo.loaded(batches if is_empty else 0)
                if is_empty:
                    batch_size.opened(batches, seconds)
                is_empty = False
                for _ in range(echo.count()):
                    loss, gradients = task.batch_loss_and_gradient(batch)
                    gradients = list(gradients)
                    failures = 0
                    yield batch, loss, gradients
                    seconds = echo.used()
                    batch_size.made(seconds)
                    # Something else came between, perhaps for a fresh batch, or for another size.
                    if seconds is None or echo.is_over or batch_size.size != size:
                        break
                if echo.is_left or batch_size.size != size:
                    break
        except (MemoryError, RuntimeError) as error:
            raise_unless_known(error)
            failed, is_too_large = True, is_out_of_memory(error)
            if not is_too_large or size == 1:
                failures += 1
            if failures == ATTEMPTS:
                raise
        if is_too_large:
            room.make()
        elif failed and size != batch_size.default:
            batch_size.fix(batch_size.default)
        elif is_empty and not failed:
            if size == 1:
                raise RuntimeError(
                    "task.train_iterator yields no batch, even of one sample: each call must give "
                    "a fresh iterator over the data"
                )
            batch_size.shrink()


def _length(epoch):
    """Number of batches, 0 if the iterator does not tell."""
    try:
        return len(epoch)
    except (TypeError, AttributeError, NotImplementedError, ValueError):
        return 0
