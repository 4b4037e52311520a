"""Reads training losses without stalling an accelerator."""

import math

import torch


class LossReader:
    """Mean losses: at each step where they are at hand, every ``stride`` steps elsewhere.

    Reading a loss that lies on an accelerator waits for all the kernels before it. Until one is
    finite each is read, since the first gives the unit of all others.
    """

    def __init__(self, stride):
        self.stride = stride
        self.unread = []
        self.has_begun = False  # whether any loss was finite

    def add(self, loss):
        """``(mean loss of the steps since the last reading, their number)``, or None.

        Losses that are not finite count only where all are: bad batches may come in every stride.
        """
        if is_at_hand(loss) or not self.has_begun:
            number = as_number(loss)
            self.has_begun = self.has_begun or math.isfinite(number)
            return number, 1
        # A copy: the oracle may use its storage again.
        self.unread.append(loss.detach().float().reshape(()).clone())
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
