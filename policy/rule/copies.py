"""Copies of many tensors at once."""

import torch


def copy_each(pairs):
    """Overwrite the first tensor of each pair with the second; all of the first on one device.

    An accelerator gets few kernels for all of them, where torch has these (from 2.1 on). The
    exceptions are targets that share memory, since the last one written has to win, and tensors of
    several types, which some versions of torch take for one.
    """
    pairs = list(pairs)
    targets, sources = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if pairs and targets[0].device.type != "cpu" and hasattr(torch, "_foreach_copy_"):
        is_apart = len({target.data_ptr() for target in targets}) == len(targets)
        types = [{tensor.dtype for tensor in tensors} for tensors in (targets, sources)]
        if is_apart and all(len(some) == 1 for some in types):
            torch._foreach_copy_(targets, sources)
            return
    for target, source in pairs:
        target.copy_(source)
