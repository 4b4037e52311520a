"""Noise as a function of a key tensor: no state, and no waiting for the device."""

import functools

import torch
from torch import Tensor

SIZE = 2**18
# Drawn at import, since `vmap` allows no random draws.
_BANK = torch.randn(SIZE, generator=torch.Generator().manual_seed(0))


def keyed_normal(keys: Tensor, count: int) -> Tensor:
    """Return normal numbers [P, count] determined by keys [P], with their type and device.

    The numbers come from a fixed bank, at an offset given by the key's lowest bits. These are as
    good as random if the key is a sum of many terms.
    """
    bits = keys.detach().view(torch.int64 if keys.dtype == torch.float64 else torch.int32)
    start = bits.long() * 2_654_435_761  # Knuth's multiplicative hash
    place = start.unsqueeze(1) + torch.arange(count, device=keys.device)
    return _bank(keys.device, keys.dtype)[place.remainder(SIZE)]


@functools.cache
def _bank(device: torch.device, dtype: torch.dtype) -> Tensor:
    return _BANK.to(device, dtype)
