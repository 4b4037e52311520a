"""Devices that tasks can run on."""

import torch


def why_unusable(device: str) -> str | None:
    """Return why no task can run on a device, in one line, or None if one can."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return None if torch.device(device).type in ("cpu", "cuda") else "holds no task"
