"""Reads training losses without stalling an accelerator."""

import math

import torch


class LossReader:
    """Mean losses: at each step where they are at hand, every ``stride`` steps elsewhere.

    Reading a loss that lies on an accelerator waits for all the kernels before it.
    """

    def __init__(self, stride):
        self.stride = stride
        self.unread = []

    def add(self, loss):
        """``(mean loss of the steps since the last reading, their number)``, or None.

        Losses that are not finite count only where all are: bad batches may come in every stride.
        """
        if is_at_hand(loss):
            return as_number(loss), 1
        self.unread.append(loss.detach().float().reshape(()))
        if len(self.unread) < self.stride:
            return None
        losses, self.unread = torch.stack(self.unread).tolist(), []
        finite = [loss for loss in losses if math.isfinite(loss)]
        return (sum(finite) / len(finite) if finite else math.nan), len(losses)


def as_number(loss):
    """A loss, given as a number or a tensor with one entry, as a float."""
    return float(loss.detach() if torch.is_tensor(loss) else loss)


def is_at_hand(loss):
    """Whether a loss can be read without waiting."""
    return not torch.is_tensor(loss) or loss.device.type == "cpu"
