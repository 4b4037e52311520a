"""Reads training losses without stalling an accelerator."""

import math

import torch


class LossReader:
    """Reads each loss on a host, and means over ``stride`` steps from an accelerator.

    Reading a loss from an accelerator waits for all kernels before it. Each is read until one is
    finite, since the first finite loss is the unit of all others.
    """

    def __init__(self, stride):
        self.stride = stride
        self.unread = []
        self.has_begun = False  # whether any loss was finite

    def add(self, loss):
        """Return ``(mean loss of the steps since the last reading, their number)``, or None.

        The mean is over finite losses if there are any: each stride may contain a bad batch.
        """
        if is_at_hand(loss) or not self.has_begun:
            number = as_number(loss)
            self.has_begun = self.has_begun or math.isfinite(number)
            return number, 1
        # A copy, since the oracle may reuse the storage.
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
