"""Reads training losses without stalling an accelerator."""

import math

import torch


class LossReader:
    """Reads losses at each step on a host, and their means every ``stride`` steps elsewhere.

    Reading a loss on an accelerator waits for all kernels before it. Until one is finite each is
    read, since the first gives the unit of all others.
    """

    def __init__(self, stride):
        self.stride = stride
        self.unread = []
        self.has_begun = False  # whether any loss was finite

    def add(self, loss):
        """Return ``(mean loss of the steps since the last reading, their number)``, or None.

        Losses that are not finite count only if all are: a bad batch may come in every stride.
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
    """Return a loss, a number or a tensor of one entry, as a float."""
    return float(loss.detach() if torch.is_tensor(loss) else loss)


def is_at_hand(loss):
    """Return whether a loss can be read without waiting."""
    return not torch.is_tensor(loss) or loss.device.type == "cpu"
