"""Descriptions are canonical, hashable and checked, and give the same task in any process."""

import hashlib
import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from tasks import (
    FAMILIES,
    TRAINING_FAMILIES,
    BatchedTask,
    Variant,
    VariantError,
    build_task,
    sample_group,
    sample_variant,
)
from tasks.data import HELD_OUT

ROOT = Path(__file__).parents[2]


def fingerprint(variant: Variant) -> str:
    """Return a digest of the initial state and the first shuffled batch."""
    task = build_task(variant)
    batch = next(iter(task.train_iterator(batch_size=variant.batch_size, shuffle=True)))
    digest = hashlib.sha256()
    for tensor in (*task.state, batch.x, batch.y):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def test_equal_descriptions_compare_equal():
    a = Variant("mlp", "digits", {"width": 32, "depth": 2})
    b = Variant("mlp", "digits", (("depth", 2),), data_options={"pixels": 8}, init_scale=1)
    assert a == b and hash(a) == hash(b) and a.digest == b.digest
    assert a.digest != replace(a, seed=1).digest
    assert "width" in repr(a)


def test_round_trips_through_json():
    for family in FAMILIES:
        variant = sample_variant(family, 3, augment=True, held_out=True)
        variant = replace(variant, target=0.5, stale=2)
        assert Variant.from_dict(json.loads(json.dumps(variant.to_dict()))) == variant


def test_same_description_same_task_in_another_process():
    drawn = [sample_variant(family, 5, augment=True, held_out=True) for family in FAMILIES]
    variants = [replace(variant, reparam=1.0, label_noise=0.1) for variant in drawn]
    script = (
        "import sys, json; sys.path.insert(0, 'tests/tasks'); from tasks import Variant\n"
        "from test_variant import fingerprint\n"
        "for fields in json.loads(sys.argv[1]): print(fingerprint(Variant.from_dict(fields)))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script, json.dumps([variant.to_dict() for variant in variants])],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.split() == [fingerprint(variant) for variant in variants]
    other_seeds = [replace(variant, seed=variant.seed + 1) for variant in variants]
    assert not {fingerprint(variant) for variant in other_seeds} & set(other.stdout.split())


def test_building_keeps_the_global_random_state(monkeypatch):
    """This includes accelerators, whose state a CPU-only `fork_rng` doesn't restore."""
    torch.manual_seed(0)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", None)
    expected = torch.rand(3)
    torch.default_generator.manual_seed(0)
    build_task(Variant("mlp", "digits", label_noise=0.1, reparam=1.0))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"family": "mpl"}, "unknown family 'mpl'; known: autoencoder, cnn"),
        ({"data": "cifar"}, "unknown data set 'cifar'; known: cifar10, clusters, digits"),
        ({"arch": {"widht": 3}}, "of family 'mlp': 'widht'; known: activation, depth, width"),
        ({"arch": {"activation": "x"}}, "unknown activation 'x'.*known: relu, tanh, gelu, silu"),
        ({"arch": {"width": "3"}}, "width of family 'mlp' must be of type int, not '3'"),
        ({"arch": {"width": 0}}, "width of family 'mlp' must be at least 1, not 0"),
        ({"arch": {"depth": -1}}, "depth of family 'mlp' must be at least 0, not -1"),
        ({"arch": 3}, "must be key-value pairs, not 3"),
        ({"data_options": {"size": 3}}, "of data set 'digits': 'size'; known: classes, colour"),
        ({"data": "topics"}, "family 'mlp' needs images; 'topics' is text"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, not 0"),
        ({"seed": -1}, "seed must be an integer of at least 0, not -1"),
        ({"label_noise": 2}, r"label_noise must be in \[0, 1\], not 2"),
        ({"init_scale": float("nan")}, "init_scale must be positive, not nan"),
        ({"target": 0.0}, "target must be positive or None, not 0.0"),
        (
            {"init": "zero"},
            "unknown init 'zero'; known: default, normal, orthogonal, small, xavier, zero_head",
        ),
        ({"precision": "int8"}, "unknown precision 'int8'; known: bfloat16, float16, full"),
        ({"stale": -1}, "stale must be an integer of at least 0, not -1"),
        ({"gradient_noise": -0.1}, "gradient_noise must be at least 0, not -0.1"),
        ({"input_scale": 0}, "input_scale must be positive, not 0"),
        ({"loss": "hinge"}, "unknown loss 'hinge'; known: cross_entropy, reconstruction, squared"),
        ({"loss": "reconstruction"}, "'mlp' and loss 'reconstruction' do not go together"),
        ({"family": "autoencoder", "loss": "squared"}, "autoencoders reconstruct"),
        ({"family": "rnn_lm", "data": "topics", "loss": "squared"}, "'squared' needs images"),
        ({"family": "rnn_lm", "data": "topics", "input_scale": 2}, "input_scale needs images"),
        ({"oracle": "image"}, "unknown oracle 'image'; known: language, supervised"),
        ({"oracle": "language"}, "oracle 'language' needs a recurrent family, not 'mlp'"),
        ({"colour": 1}, "unknown variant field 'colour'; known: arch, batch_size"),
    ],
)
def test_errors_name_the_input_and_what_is_known(fields, message):
    with pytest.raises(VariantError, match=message):
        Variant.from_dict({"family": "mlp", "data": "digits"} | fields)


def test_missing_field_and_label_noise_of_language_are_refused():
    with pytest.raises(VariantError, match="needs the field 'data'"):
        Variant.from_dict({"family": "mlp"})
    with pytest.raises(VariantError, match="allows no label_noise"):
        Variant("rnn_lm", "topics", oracle="language", label_noise=0.1)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_variants_are_reproducible_and_distinct(family, augment):
    options = {"augment": augment, "held_out": family not in TRAINING_FAMILIES}
    assert sample_variant(family, 1, **options) == sample_variant(family, 1, **options)
    assert len({sample_variant(family, seed, **options) for seed in range(20)}) == 20
    group = sample_group(family, 1, 6, **options)
    assert group == sample_group(family, 1, 6, **options)
    assert len({variant.seed for variant in group}) == 6
    batched = BatchedTask(group, test_samples=20)
    which = torch.arange(6)
    index = torch.zeros(6, batched.batch_size, dtype=torch.long)
    params = batched.initial(which)
    losses, _ = batched.loss_and_gradient(params, which, batched.batch(which, index))
    assert torch.isfinite(losses).all() and torch.isfinite(batched.test(params, which)).all()


def test_data_that_needs_files_is_only_drawn_on_request():
    """So the files on this machine can't change what a seed means."""
    plain = {sample_variant("mlp", seed).data for seed in range(60)}
    asked = {sample_variant("mlp", seed, files=True).data for seed in range(60)}
    assert plain == {"clusters", "digits", "teacher"} and asked == plain | {"fashion"}


def test_held_out_data_are_never_drawn_for_training():
    held_out = set(FAMILIES) - set(TRAINING_FAMILIES)
    assert len(held_out) >= 6 and {"mlp", "cnn", "rnn_lm", "transformer_lm"} <= set(
        TRAINING_FAMILIES
    )
    for family in held_out:
        with pytest.raises(VariantError, match=f"unknown family '{family}'; known: autoencoder"):
            sample_variant(family, 0)
        assert set(FAMILIES[family].data) <= HELD_OUT
    for family in TRAINING_FAMILIES:
        assert not set(FAMILIES[family].data) & HELD_OUT


def test_all_augmentations_are_drawn_on_request_only():
    names = [f.name for f in fields(Variant) if f.name not in ("stale", "oracle", "target")]
    for augment, wanted in ((False, {"arch", "seed", "batch_size"}), (True, set(names))):
        drawn = [sample_variant("mlp", seed, augment=augment) for seed in range(80)]
        assert wanted <= {n for n in names if len({getattr(v, n) for v in drawn}) > 1} | {"family"}
    dropouts = {dict(sample_variant("rnn_lm", n, augment=True).arch)["dropout"] for n in range(40)}
    assert dropouts == {0.0, 0.2, 0.4}
    assert {dict(sample_variant("rnn_lm", n).arch)["dropout"] for n in range(40)} == {0.0}
    plain = [sample_variant("cnn", seed) for seed in range(40)]
    neutral = ("init", "reparam_all", "input_scale", "loss", "gradient_noise", "clip", "precision")
    assert all(len({getattr(v, name) for v in plain}) == 1 for name in neutral)


def test_sampled_values_are_in_range():
    group = [variant for seed in range(6) for variant in sample_group("mlp", seed, 50)]
    assert all(0.4 <= v.init_scale <= 2.5 and 0 <= v.label_noise <= 0.2 for v in group)
    assert {v.reparam for v in group} == {0.0, 1.0}
    natural = sum((v.init_scale, v.reparam, v.label_noise) == (1.0, 0.0, 0.0) for v in group)
    assert 0.4 < natural / 300 < 0.6
    assert 0.7 < sum(v.label_noise == 0 for v in group) / 300 < 0.95
    with pytest.raises(VariantError, match="unknown family 'x'"):
        sample_variant("x", 0)
