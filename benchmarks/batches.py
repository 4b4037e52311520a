"""Batches for a benchmark that trains a network itself, without the driver."""


def endless(task):
    """Batches of the default size, epoch after epoch."""
    while True:
        yield from task.train_iterator(batch_size=task.default_batch_size, shuffle=True)
