"""Check whether tasks can run on a device."""

import torch


def why_unusable(device: str) -> str | None:
    """Return why tasks can't run on a device, in one line, or None if they can."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return None if torch.device(device).type in ("cpu", "cuda") else "holds no task"
