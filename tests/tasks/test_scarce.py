"""Variants with little data: of the training families alone, reproducible, and soon by heart."""

from dataclasses import replace

import torch

from tasks import TRAINING_FAMILIES, build_task, reference
from tasks.data import HELD_OUT, NEEDS_FILES
from tasks.scarce import LONGEST, SHORTEST, sample_scarce

DRAWN = [sample_scarce(seed) for seed in range(200)]


def test_equal_seeds_give_equal_variants():
    assert sample_scarce(7) == sample_scarce(7) != sample_scarce(8)


def test_no_family_and_no_data_is_held_out_or_needs_files():
    assert {variant.family for variant, _ in DRAWN} <= set(TRAINING_FAMILIES)
    assert not {variant.data for variant, _ in DRAWN} & (HELD_OUT | set(NEEDS_FILES))
    assert all(SHORTEST <= horizon <= LONGEST for _, horizon in DRAWN)


def test_the_baseline_learns_a_short_text_by_heart():
    variant = next(v for v, _ in DRAWN if v.family == "transformer_lm" and v.batch_size == 32)
    options = {**dict(variant.data_options), "train": 15_000}
    torch.manual_seed(0)
    task = build_task(replace(variant, data_options=options))
    losses = [loss for _, loss in reference.tested_steps(task, range(100, 801, 100))]
    assert losses[-1] - min(losses) > 0.1 and losses[0] > min(losses)
