"""Running statistics of batch norm, which belong to the live weights."""

import contextlib

import torch
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def kept_statistics(model):
    """Restore the statistics and modes of the model's modules after the ``with`` block.

    Yields the modules whose statistics are not frozen. Frozen ones are in evaluation mode while the
    model trains.
    """
    modes = [(module, module.training) for module in model.modules()]
    running = [module for module, _ in modes if _has_statistics(module)]
    kept = [(buffer, buffer.clone()) for module in running for buffer in module.buffers(False)]
    try:
        yield [module for module in running if module.training or not model.training]
    finally:
        for buffer, value in kept:
            buffer.copy_(value)
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def renew_statistics(model, modules, batches, device, forward=None):
    """Set running statistics to their means over batches, for a model in evaluation mode.

    Args:
        modules: those of the model whose statistics are renewed.
        batches: inputs, or sequences that begin with one; anything if ``forward`` is given.
        device: to put the inputs on.
        forward: passes a batch through the model; by default the input is moved and passed.

    Raises ValueError if there are modules but no batch.
    """
    if not modules:
        return
    if batches is None:
        raise ValueError(
            "the model has batch norm, whose statistics belong to the live weights: give batches "
            "to renew them from, averaged(model, batches)"
        )
    momenta = [module.momentum for module in modules]
    for module in modules:
        module.reset_running_stats()
        module.momentum = None  # the mean of all
        module.train()
    try:
        if not _pass_through(model, batches, device, forward):
            raise ValueError("batches is empty: give some; an iterator serves once")
    finally:
        for module, momentum in zip(modules, momenta):
            module.momentum = momentum
            module.eval()


def _pass_through(model, batches, device, forward):
    """Make a forward pass for each batch; return their number."""
    model = model.module if _is_parallel(model) else model
    forward = forward or (lambda batch: model(_input_of(batch, batches).to(device)))
    count = 0
    for batch in batches:
        forward(batch)
        count += 1
    return count


def _input_of(batch, batches):
    entry = batch[0] if isinstance(batch, (list, tuple)) else batch
    if not torch.is_tensor(entry) or torch.is_tensor(batches):
        raise ValueError(
            "batches must be inputs, or tuples that begin with one; for a model of other inputs "
            "give averaged(model, batches, forward), where forward passes a batch through it"
        )
    return entry


def _is_parallel(model):
    """Return whether forward passes wait for other processes, which may have fewer batches."""
    return isinstance(model, torch.nn.parallel.DistributedDataParallel)


def _has_statistics(module):
    return isinstance(module, _BatchNorm) and module.running_mean is not None
