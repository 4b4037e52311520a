"""The batched task equals the single one: initial state, losses, gradients and test losses."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.func import vmap

from tasks import FAMILIES, Batch, BatchedTask, Variant, VariantError, build_task
from tasks.layers import conv2d_by_slices, dropout

TEXT = {"alphabet": "letters", "context": 9, "train": 6000, "test": 1000}
IMAGES = {"test": 250}
GLYPHS = {"pixels": 8, "train": 300, "test": 250, "colour": True}
WORDS = {"vocabulary": 50, "context": 9, "train": 6000, "test": 1000}

CASES = {
    "mlp": Variant("mlp", "digits", {"width": 7, "activation": "tanh"}, IMAGES, 8),
    "cnn": Variant("cnn", "digits", {"width": 4, "depth": 3}, IMAGES, 8),
    "cnn_batch": Variant("cnn", "digits", {"width": 4, "norm": "batch"}, IMAGES, 8),
    "cnn_group": Variant("cnn", "digits", {"width": 4, "norm": "group"}, IMAGES, 8),
    "rnn_lm": Variant("rnn_lm", "topics", {"width": 6, "depth": 2}, TEXT, 5),
    "rnn_lm_tied": Variant("rnn_lm", "topics", {"width": 6, "tied": True}, TEXT, 5),
    "transformer_lm": Variant("transformer_lm", "topics", {"depth": 2}, TEXT, 5),
    "elman_lm": Variant("elman_lm", "topic_words", {"width": 6, "depth": 2}, WORDS, 5),
    "gru_lm": Variant("gru_lm", "topic_words", {"width": 6, "depth": 2, "tied": True}, WORDS, 5),
    "residual_mlp": Variant("residual_mlp", "teacher", {"width": 7}, {}, 8, loss="squared"),
    "residual_mlp_bare": Variant("residual_mlp", "clusters", {"norm": "none", "skip": False}),
    "autoencoder": Variant("autoencoder", "digits", {"width": 9, "depth": 2}, IMAGES, 8),
    "regressor": Variant("regressor", "functions", {"width": 9}, {"test": 250, "outputs": 4}, 8),
    "conv_autoencoder": Variant("conv_autoencoder", "glyphs", {"width": 4}, GLYPHS, 8),
    "resnet_batch": Variant("resnet", "glyphs", {"width": 4, "stages": 2}, GLYPHS, 8),
    "resnet_group": Variant("resnet", "glyphs", {"width": 4, "norm": "group"}, GLYPHS, 8),
    "vgg": Variant("vgg", "glyphs", {"width": 4, "norm": "group"}, GLYPHS, 8),
    "mixer": Variant("mixer", "waves", {"width": 6}, {"train": 300, "test": 250}, 8),
    "vit": Variant("vit", "glyphs", {"head_width": 4}, GLYPHS, 8),
}
DROPPING = {
    "rnn_lm": Variant("rnn_lm", "topics", {"width": 6, "depth": 2, "dropout": 0.3}, TEXT, 5),
    "vgg": Variant("vgg", "glyphs", {"width": 4, "dropout": 0.3}, GLYPHS, 8),
}


def test_every_family_is_compared():
    assert {variant.family for variant in CASES.values()} == set(FAMILIES)


def differing(variant: Variant) -> list[Variant]:
    """Return variants that differ in everything that a batched task allows."""
    return [
        replace(variant, seed=1, clip=0.4),
        replace(variant, seed=2, clip=0.4, init_scale=2.0, reparam=1.0, label_noise=0.3),
        replace(variant, seed=3, clip=0.4, init_scale=0.5, reparam=0.5, reparam_all=1.0),
    ]


@pytest.mark.parametrize("case", CASES)
def test_batched_equals_single(case):
    variants = differing(CASES[case])
    batched = BatchedTask(variants, dtype=torch.float64, test_samples=10_000)
    which = torch.tensor([2, 0, 1, 1])
    index = torch.randint(batched.train_size, (4, batched.batch_size))
    params, batch = batched.initial(which), batched.batch(which, index)
    losses, gradients = batched.loss_and_gradient(params, which, batch)
    assert losses[2] != losses[3], "two particles of one variant see their own batches"
    tests = batched.test(params, which)
    for particle, variant in enumerate(which.tolist()):
        task = build_task(variants[variant], dtype=torch.float64)
        examples = everything(task)
        own = Batch(examples.x[index[particle]], examples.y[index[particle]])
        loss, gradient = task.batch_loss_and_gradient(own)
        assert losses[particle].item() == pytest.approx(loss, abs=1e-12)
        for batched_tensor, tensor in zip(params, task.state, strict=True):
            assert torch.equal(batched_tensor[particle], tensor)
        for batched_tensor, tensor in zip(gradients, gradient, strict=True):
            torch.testing.assert_close(batched_tensor[particle], tensor, rtol=1e-9, atol=1e-12)
        if not case.endswith("_batch"):  # the single task tests with running statistics
            assert tests[particle].item() == pytest.approx(task.test(task.state), abs=1e-12)


def everything(task) -> Batch:
    """Return the training set in order as one batch, without the last incomplete batch."""
    batches = list(task.train_iterator(batch_size=1, shuffle=False))
    return Batch(torch.cat([b.x for b in batches]), torch.cat([b.y for b in batches]))


def test_oracle_augmentations_equal_the_singles():
    """Covers rounding, clipping, input scale and initialisation; noise is tested below."""
    variant = replace(CASES["mlp"], precision="bfloat16", clip=0.1, input_scale=3.0, init="xavier")
    batched, which = BatchedTask([variant]), torch.zeros(1, dtype=torch.long)
    params, batch = batched.initial(which), batched.batch(which, torch.arange(8).view(1, 8))
    loss, gradients = batched.loss_and_gradient(params, which, batch)
    task = build_task(variant)
    own = Batch(*(part[:8] for part in everything(task)[:2]))
    expected, singles = task.batch_loss_and_gradient(own)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert torch.cat([g.flatten() for g in gradients]).norm().item() == pytest.approx(0.1, rel=0.01)
    for gradient, single in zip(gradients, singles, strict=True):
        torch.testing.assert_close(gradient[0], single, rtol=1e-2, atol=1e-6)
        assert torch.equal(gradient, gradient.bfloat16().float())


def test_gradient_noise_has_its_size_and_is_new_for_each_loss():
    noise = 0.5
    variant = replace(CASES["mlp"], gradient_noise=noise)
    clean, noisy = BatchedTask([CASES["mlp"]]), BatchedTask([variant])
    which = torch.zeros(50, dtype=torch.long)
    params, index = clean.initial(which), torch.randint(clean.train_size, (50, 8))
    batch = clean.batch(which, index)
    (loss, plain), (same, shaken) = (
        t.loss_and_gradient(params, which, batch) for t in (clean, noisy)
    )
    assert torch.equal(loss, same)
    for a, b in zip(plain, shaken, strict=True):
        size = (b - a).square().mean().sqrt() / a.square().mean().sqrt()
        assert size == pytest.approx(noise, rel=0.25)
    first, second = (shaken[0] - plain[0])[:2].flatten(1)
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.2
    again = noisy.loss_and_gradient(params, which, batch)[1]
    assert all(torch.equal(a, b) for a, b in zip(shaken, again, strict=True)), "a pure function"


@pytest.mark.parametrize("case", DROPPING)
def test_dropout_has_the_singles_mean_loss_and_is_a_pure_function(case):
    """The means over 60 batches agree within four standard errors."""
    variant, count = DROPPING[case], 60
    batched, task = BatchedTask([variant]), build_task(variant)
    which = torch.zeros(count, dtype=torch.long)
    index = torch.randint(batched.train_size, (count, variant.batch_size))
    params, batch = batched.initial(which), batched.batch(which, index)
    losses = batched.loss(params, which, batch).detach()
    assert torch.equal(losses, batched.loss(params, which, batch))
    all_ = everything(task)
    own = [task.batch_loss(Batch(all_.x[i], all_.y[i])) for i in index]
    difference = losses - torch.tensor(own)
    assert difference.std() > 0, "they drop different units"
    assert difference.mean().abs() < 4 * difference.std() / count**0.5
    dry = BatchedTask([replace(variant, arch=dict(variant.arch) | {"dropout": 0.0})])
    assert not torch.equal(losses, dry.loss(params, which, batch))
    assert torch.equal(batched.test(params, which), dry.test(params, which))


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (5, 2, 0), (1, 1, 0)]
)
@pytest.mark.parametrize("biased", [True, False])
def test_sliced_convolution_equals_a_convolution(size, stride, padding, biased):
    x = torch.randn(4, 5, 3, 9, 8, dtype=torch.float64)
    weight = torch.randn(4, 6, 3, size, size, dtype=torch.float64)
    bias = torch.randn(4, 6, dtype=torch.float64)

    def sliced(x, w, b):
        return conv2d_by_slices(x, w, b if biased else None, stride, padding)

    for model, out in enumerate(vmap(sliced)(x, weight, bias)):
        b = bias[model] if biased else None
        expected = F.conv2d(x[model], weight[model], b, stride=stride, padding=padding)
        torch.testing.assert_close(out, expected)


def test_dropout_drops_its_share_and_keeps_the_mean():
    x = torch.randn(300, 40, 20)
    dropped = vmap(lambda x: dropout(x, 0.3, training=True))(x)
    gone = dropped == 0
    assert gone.float().mean().item() == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(dropped[~gone], x[~gone] / 0.7)
    assert (gone[0] != gone[1]).float().mean().item() == pytest.approx(0.42, abs=0.08)


def test_test_noise_has_its_size():
    clean, noisy = (BatchedTask([replace(CASES["mlp"], test_noise=n)]) for n in (0.0, 0.1))
    which = torch.zeros(200, dtype=torch.long)
    params = [p + 1e-3 * torch.randn_like(p) for p in clean.initial(which)]
    ratio = noisy.test(params, which) / clean.test(params, which)
    assert ratio.mean().item() == pytest.approx(1, abs=0.03)
    assert ratio.std().item() == pytest.approx(0.1, rel=0.3)


def test_batch_norm_tests_with_batch_statistics():
    """Rescaling a weight before a norm has no effect, as it would with running statistics."""
    batched, which = BatchedTask([CASES["cnn_batch"]]), torch.zeros(1, dtype=torch.long)
    params = batched.initial(which)
    scaled = [params[0] * 3, params[1] * 3, *params[2:]]
    before, after = batched.test(params, which), batched.test(scaled, which)
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-4)


def test_loss_is_differentiable_twice():
    """Meta-gradients through an unrolled step need second derivatives, in each family."""
    for variant in (*CASES.values(), *DROPPING.values()):
        batched = BatchedTask([variant], dtype=torch.float64)
        which = torch.zeros(2, dtype=torch.long)
        index = torch.arange(2 * variant.batch_size).view(2, -1)
        params = [p.requires_grad_() for p in batched.initial(which)]
        loss = batched.loss(params, which, batched.batch(which, index))
        gradients = torch.autograd.grad(loss.sum(), params, create_graph=True)
        sum(g.square().sum() for g in gradients).backward()
        assert all(torch.isfinite(p.grad).all() for p in params)


def test_test_samples_are_spread_over_the_test_set():
    few, all_ = (BatchedTask([CASES["mlp"]], test_samples=n) for n in (50, 250))
    which = torch.zeros(1, dtype=torch.long)
    params = all_.initial(which)
    gap = (few.test(params, which) - all_.test(params, which)).abs().item()
    assert 0 < gap < 0.3


def test_rejects_variants_that_cannot_share_a_batch():
    with pytest.raises(VariantError, match="may differ in seed, init_scale"):
        BatchedTask([CASES["mlp"], replace(CASES["mlp"], batch_size=9)])
    with pytest.raises(VariantError, match="at least one"):
        BatchedTask([])
    with pytest.raises(VariantError, match="no stale gradients"):
        BatchedTask([replace(CASES["mlp"], stale=2)])
    with pytest.raises(VariantError, match="recurrent state"):
        BatchedTask([replace(CASES["rnn_lm"], oracle="language")])
