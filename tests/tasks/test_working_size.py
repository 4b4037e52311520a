"""Variants of working size: of the training families alone, reproducible, buildable."""

import pytest

from tasks import TRAINING_FAMILIES, build_task
from tasks.scarce import sample_scarce
from tasks.working_size import LONGEST, LONGEST_WIDE, SHORTEST, sample_working_size


def test_equal_seeds_give_equal_variants():
    assert sample_working_size(7) == sample_working_size(7) != sample_working_size(8)


def test_they_are_of_all_training_families_and_of_no_other():
    drawn = [sample_working_size(seed) for seed in range(200)]
    assert {variant.family for variant, _ in drawn} == set(TRAINING_FAMILIES)
    assert all(SHORTEST <= horizon <= LONGEST for _, horizon in drawn)


def test_small_batches_come_with_short_horizons():
    drawn = [sample_working_size(seed) for seed in range(200)]
    small = [(v, h) for v, h in drawn if v.batch_size == 4]
    assert len(small) > 20
    assert all(v.family.endswith("_lm") and h <= LONGEST_WIDE for v, h in small)


@pytest.mark.parametrize("sample", [sample_working_size, sample_scarce])
@pytest.mark.parametrize("seed", range(12))
def test_they_can_be_built(seed, sample):
    variant, _ = sample(seed)
    task = build_task(variant)
    batch = next(iter(task.train_iterator(batch_size=variant.batch_size, shuffle=True)))
    loss, gradients = task.batch_loss_and_gradient(batch)
    assert loss == loss and len(gradients) == len(task.state)
