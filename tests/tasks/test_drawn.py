"""Variants of working size, with little data, and at the edges.

They come from the training families only, are reproducible, and can be built.
"""

from dataclasses import replace

import pytest
import torch

from tasks import TRAINING_FAMILIES, build_task, edges, reference, scarce, working_size
from tasks.data import HELD_OUT, NEEDS_FILES
from tasks.edges import sample_edge, sample_edge_group
from tasks.scarce import sample_scarce
from tasks.working_size import LONGEST_WIDE, sample_working_size

DRAWS = {sample_working_size: working_size, sample_scarce: scarce, sample_edge: edges}
DRAWN = {draw: [draw(seed) for seed in range(200)] for draw in DRAWS}
each = pytest.mark.parametrize("draw", DRAWN)


@each
def test_equal_seeds_give_equal_variants(draw):
    assert draw(7) == draw(7) != draw(8)


@pytest.mark.parametrize("draw, of", DRAWS.items())
def test_no_family_and_no_data_is_held_out(draw, of):
    assert {variant.family for variant, _ in DRAWN[draw]} <= set(TRAINING_FAMILIES)
    assert not {variant.data for variant, _ in DRAWN[draw]} & HELD_OUT
    assert all(of.SHORTEST <= horizon <= of.LONGEST for _, horizon in DRAWN[draw])


def test_working_sizes_cover_all_families_and_scarce_data_needs_no_files():
    families = {variant.family for variant, _ in DRAWN[sample_working_size]}
    assert families == set(TRAINING_FAMILIES)
    for draw in (sample_scarce, sample_edge):
        assert not {variant.data for variant, _ in DRAWN[draw]} & set(NEEDS_FILES)


def test_edges_have_extreme_depth_rare_words_or_a_zero_head():
    drawn = [variant for variant, _ in DRAWN[sample_edge]]
    depths = {dict(variant.arch)["depth"] for variant in drawn if variant.family == "mlp"}
    assert {0, 8} <= depths
    assert any(dict(variant.data_options).get("vocabulary") == 1_000 for variant in drawn)
    variant = next(v for v in drawn if v.init == "zero_head" and v.family == "residual_mlp")
    *inner, head = [tensor for tensor in build_task(variant).state if tensor.dim() > 1]
    assert not head.any() and all(tensor.any() for tensor in inner)


@pytest.mark.parametrize("family", edges.SIZES)
def test_edge_group_shares_all_but_the_varied_settings(family):
    first, *others = sample_edge_group(family, 3, 4)
    shared = "family", "arch", "data", "data_options", "batch_size", "init"
    for other in others:
        assert all(getattr(first, name) == getattr(other, name) for name in shared)
        assert other.seed != first.seed


def test_small_batches_come_with_short_horizons():
    small = [(v, h) for v, h in DRAWN[sample_working_size] if v.batch_size == 4]
    assert len(small) > 20
    assert all(v.family.endswith("_lm") and h <= LONGEST_WIDE for v, h in small)


def test_baseline_overfits_a_short_text():
    drawn = (v for v, _ in DRAWN[sample_scarce] if v.family == "transformer_lm")
    variant = next(v for v in drawn if v.batch_size == 32)
    options = {**dict(variant.data_options), "train": 15_000}
    torch.manual_seed(0)
    task = build_task(replace(variant, data_options=options))
    losses = [loss for _, loss in reference.tested_steps(task, range(100, 801, 100))]
    assert losses[-1] - min(losses) > 0.1 and losses[0] > min(losses)


@each
@pytest.mark.parametrize("seed", range(12))
def test_drawn_variants_can_be_built(seed, draw):
    variant, _ = draw(seed)
    task = build_task(variant)
    batch = next(iter(task.train_iterator(batch_size=variant.batch_size, shuffle=True)))
    loss, gradients = task.batch_loss_and_gradient(batch)
    assert loss == loss and len(gradients) == len(task.state)
