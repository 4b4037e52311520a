"""What runs of a fixed length leave of the loss, as users of an optimizer judge it.

Time to a target says nothing of a run that goes on behind it, where losses are low, rates should
fall, and no target is known.
"""

import torch
from torch import Tensor

from metalearn.episodes import Episode

SHARES = 1 / 8, 1 / 4, 1 / 2, 1.0  # of the length: a run is judged at each, as if it ended there
WINDOW = 0.2  # the part of such a run, at its end, whose mean is taken
FLOOR = 0.02  # of the fall of the loss, below the best of all arms, where nothing is left
MOST = 2.0  # times the first loss: no arm leaves more


def of_fixed_length(episode: Episode) -> Episode:
    """Return the episode without a target: it ends at the time that was the baseline's."""
    return episode._replace(target=torch.full_like(episode.target, -torch.inf))


def what_is_left(curve: Tensor, first: Tensor, decisions: Tensor) -> Tensor:
    """Return the geometric mean of what arms leave of the loss at each of SHARES, `[E, A]`.

    Of test losses `[T, E, A]` after each decision, the first `[E]` before any, and the numbers of
    decisions `[E]`. Losses count from a floor below the best one of the episode. A run is free to
    keep its best weights, so its loss is the lowest so far.
    """
    turn = torch.arange(1, len(curve) + 1)[:, None]
    curve = curve.masked_fill(curve.isnan() | (turn > decisions)[..., None], torch.inf)
    curve = curve.cummin(0).values
    best = curve.amin((0, 2))
    gap = ((1 + FLOOR) * (first - best)).clamp(min=1e-9)
    left = ((curve - first[:, None]) / gap[:, None] + 1).clamp(max=MOST).log()
    found = []
    for share in SHARES:
        end = (share * decisions).round().clamp(min=1)
        is_in = ((turn <= end) & (turn > (1 - WINDOW) * end)).float()  # [T, E]
        found.append(torch.einsum("tea,te->ea", left, is_in / is_in.sum(0)))
    return torch.stack(found).mean(0).exp()
