"""Sampled variants are sound: the baseline makes finite progress on each, but not at once.

`make slow` tests more than a thousand variants, three groups in five with augmentations.
"""

import pytest
import torch

from tasks import TRAINING_FAMILIES, BatchedTask, adam_curves, sample_group

HORIZON, TEST_EVERY = 200, 20  # steps
LEAST_FALL = 0.01  # of the first loss: targets lie on the baseline's curve, so it has to fall


def unsound(family: str, seed: int, count: int, augment: bool = False) -> list[str]:
    """Return the faults of `count` variants of a group, an empty list if there are none."""
    group = sample_group(family, seed, count, augment=augment)
    tested = range(0, HORIZON + 1, TEST_EVERY)
    curves = adam_curves(BatchedTask(group, test_samples=100), tested, seed)
    faults = []
    for variant, losses in zip(group, curves.own, strict=True):
        if fault := fault_of(losses):
            faults.append(f"{fault}: {[round(x, 3) for x in losses.tolist()]} {variant}")
    return faults


def fault_of(losses: torch.Tensor) -> str:
    """Return a word for what makes the baseline's test losses useless, or an empty string."""
    if not torch.isfinite(losses).all():
        return "not finite"
    if losses.min() > (1 - LEAST_FALL) * losses[0]:
        return "never learns"
    if losses[:2].min() <= losses.min():
        return "learns at once"
    return ""


@pytest.mark.parametrize("family", TRAINING_FAMILIES)
def test_group_of_each_family_is_sound(family):
    assert not unsound(family, seed=1, count=30)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
@pytest.mark.parametrize("family", TRAINING_FAMILIES)
def test_a_thousand_variants_are_sound(family, seed):
    assert not unsound(family, seed, count=30, augment=seed % 2 == 0)
