"""Where tasks can be."""

from __future__ import annotations

import torch


def why_unusable(device: str) -> str | None:
    """Why no task can be on a device, in one line; None where one can."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return None if torch.device(device).type in ("cpu", "cuda") else "holds no task"
