"""Score runs of a fixed length by the loss that remains, as users of an optimizer do.

Time to a target does not measure training beyond the target, where losses are low, rates should
fall and no target is known.
"""

import torch
from torch import Tensor

from metalearn.episodes import Episode

SHARES = 1 / 8, 1 / 4, 1 / 2, 1.0  # of the length; a run is scored at each, as if it ended there
WINDOW = 0.2  # final part of such a run, over which the log loss is averaged
FLOOR = 0.02  # nothing remains at this share of the loss's fall below the best arm
MOST = 2.0  # upper bound of what remains; 1 at the first loss


def of_fixed_length(episode: Episode) -> Episode:
    """Return the episode without a target; it ends at the baseline's time."""
    return episode._replace(target=torch.full_like(episode.target, -torch.inf))


def what_is_left(curve: Tensor, first: Tensor, decisions: Tensor) -> Tensor:
    """Return the remaining loss of each arm, its geometric mean over SHARES, `[E, A]`.

    It is measured from a floor below the episode's lowest loss, and is 1 at the first loss. The
    lowest loss so far counts, since a run may keep its best weights.

    Args:
        curve: test losses `[T, E, A]`, one after each decision.
        first: test losses before training, `[E]`.
        decisions: number of decisions, `[E]`.
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
