"""Paths of the log rates, given by three numbers: height, slope in time, slope in depth."""

import math

import torch
from torch.quasirandom import SobolEngine

PATHS = 3
SPREAD = 0.8, 0.5, 0.4  # standard deviations of height, slope in time, slope in depth
CENTRE = 0.1  # share of the baseline's time at which the slope in time is zero
FACTOR = 5.0  # in time, over which the slope adds one
STEEPEST = 1.5  # bound on what the slope in time adds


def draw_arms(count: int, seed: int) -> torch.Tensor:
    """Return paths `[count, PATHS]`, normal and evenly spread. The first one is zero."""
    uniform = SobolEngine(PATHS, scramble=True, seed=seed).draw(count).clamp(1e-3, 1 - 1e-3)
    normal = math.sqrt(2) * torch.erfinv(2 * uniform - 1)
    normal[0] = 0.0
    return normal * torch.tensor(SPREAD)


def basis(step: torch.Tensor, baseline: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Return what each number of a path adds to the log rates, `[*lead, tensors, PATHS]`.

    Args:
        step, baseline: steps made, and the baseline's steps to the target, `[*lead]`.
        depth: from -1 for the first tensor to 1 for the last, `[tensors]`.
    """
    late = torch.log((step + 1) / (CENTRE * baseline)) / math.log(FACTOR)
    late = late.clamp(-STEEPEST, STEEPEST)[..., None].expand(*step.shape, len(depth))
    return torch.stack([torch.ones_like(late), late, depth.expand_as(late)], -1)


def depths(count: int) -> torch.Tensor:
    """Return the depths of `count` tensors, `[count]`."""
    return torch.arange(count, dtype=torch.float32) * 2 / max(count - 1, 1) - 1
