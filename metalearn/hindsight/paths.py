"""Paths of the log rates: three numbers that raise, tilt in time and tilt in depth."""

import math

import torch
from torch.quasirandom import SobolEngine

PATHS = 3
SPREAD = 0.8, 0.5, 0.4  # standard deviations of height, slope in time, slope in depth
CENTRE = 0.1  # share of the baseline's time at which the slope in time is zero
FACTOR = 5.0  # in time, over which it changes by one
STEEPEST = 1.5


def draw_arms(count: int, seed: int) -> torch.Tensor:
    """Numbers of `count` arms, `[count, PATHS]`: normal, spread out evenly; the first are zero."""
    uniform = SobolEngine(PATHS, scramble=True, seed=seed).draw(count).clamp(1e-3, 1 - 1e-3)
    normal = math.sqrt(2) * torch.erfinv(2 * uniform - 1)
    normal[0] = 0.0
    return normal * torch.tensor(SPREAD)


def basis(step: torch.Tensor, baseline: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """What each number adds to the log rates: `[*lead, tensors, PATHS]`.

    Args:
        step, baseline: steps made and those of the baseline, `[*lead]`.
        depth: of each tensor, -1 of the first to 1 of the last, `[tensors]`.
    """
    late = torch.log((step + 1) / (CENTRE * baseline)) / math.log(FACTOR)
    late = late.clamp(-STEEPEST, STEEPEST)[..., None].expand(*step.shape, len(depth))
    return torch.stack([torch.ones_like(late), late, depth.expand_as(late)], -1)


def depths(count: int) -> torch.Tensor:
    """The depth of each of so many tensors, `[count]`."""
    return torch.arange(count, dtype=torch.float32) * 2 / max(count - 1, 1) - 1
