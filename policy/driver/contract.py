"""Checks of what a task gives, with errors that name the fix."""

import torch


def number_of(task, name, what):
    """Return an attribute as a float; raise RuntimeError, asking for ``what``, if it is none."""
    value = getattr(task, name)
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise RuntimeError(f"task.{name} is {value!r}: give {what}") from None
    if found != found:
        raise RuntimeError(f"task.{name} is NaN: give {what}")
    return found


def tensors_of(task):
    """Return ``task.state``; raise RuntimeError unless it is a list of tensors."""
    state = task.state
    if not hasattr(state, "__getitem__") or not all(map(torch.is_tensor, state)):
        kind = type(state).__name__
        raise RuntimeError(f"task.state is a {kind}: it must be a list of the tensors to train")
    if not len(state):
        raise RuntimeError("task.state is empty: there is nothing to train")
    return state


def checked_answer(answer):
    """Return the loss and the list of gradients that an oracle gave; raise TypeError if it did
    not."""
    if hasattr(answer, "__iter__"):
        loss, gradients = answer
        if hasattr(gradients, "__iter__"):
            return loss, list(gradients)
    kind = type(answer).__name__
    raise TypeError(
        f"task.batch_loss_and_gradient returned a {kind}: it must return the loss and a list of "
        "gradients"
    )
