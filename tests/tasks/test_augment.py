"""Each augmentation of a variant has its stated effect, and no other.

Label noise and initial scale are tested in `test_supervised`, the batched oracles in
`test_batched`.
"""

from dataclasses import replace

import pytest
import torch

from tasks import DataError, Variant, build_task
from tasks.data import load_samples
from tasks.data.digits import digits
from tasks.data.glyphs import glyphs

PLAIN = Variant("mlp", "digits", {"width": 12, "depth": 2, "activation": "tanh"}, {"test": 250}, 16)


def first_batch(task):
    return next(iter(task.train_iterator(batch_size=16, shuffle=False)))


def oracle(variant: Variant, calls: int = 1):
    """Return loss and copied gradients at the initial weights, from the last of `calls` calls."""
    task = build_task(variant)
    batch = first_batch(task)
    for _ in range(calls):
        loss, gradients = task.batch_loss_and_gradient(batch)
    return loss, [gradient.clone() for gradient in gradients]


def norm(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors]).norm().item()


def test_input_scale_multiplies_training_and_test_inputs():
    plain, scaled = build_task(PLAIN), build_task(replace(PLAIN, input_scale=3.0))
    torch.testing.assert_close(first_batch(scaled).x, 3 * first_batch(plain).x)
    # Same as a first layer with three times the weights.
    plain.state[0].mul_(3)
    assert scaled.test(scaled.state) == pytest.approx(plain.test(plain.state), rel=1e-5)


@pytest.mark.parametrize("init", ["normal", "xavier", "orthogonal"])
def test_initialisations_have_their_scales(init):
    """Standard deviations: sqrt(2 / in), sqrt(2 / (in + out)), and equal singular values."""
    first = build_task(replace(PLAIN, init=init, arch={"width": 64})).state[0]
    if init == "orthogonal":
        torch.testing.assert_close(first @ first.t(), torch.eye(64), atol=1e-5, rtol=0)
    else:
        fans = {"normal": 64, "xavier": 64 + 64}[init]
        assert first.std().item() == pytest.approx((2 / fans) ** 0.5, rel=0.05)


@pytest.mark.parametrize("field", ["reparam", "reparam_all"])
def test_reparametrisation_keeps_the_network_and_scales_the_weights(field):
    plain, other = build_task(PLAIN), build_task(replace(PLAIN, **{field: 2.0}))
    assert other.test(other.state) == pytest.approx(plain.test(plain.state), rel=1e-5)
    ratios = [(a.norm() / b.norm()).item() for a, b in zip(other.state, plain.state, strict=True)]
    assert all(1 / 4 <= ratio <= 4 for ratio in ratios)
    if field == "reparam_all":
        assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-4) and ratios[0] != 1
    else:
        assert len({round(ratio, 4) for ratio in ratios}) == len(ratios)
    # d loss / d p = s d loss / d w, and p = w / s, so products are unchanged.
    gradients, others = oracle(PLAIN)[1], oracle(replace(PLAIN, **{field: 2.0}))[1]
    for left, right, ratio in zip(gradients, others, ratios, strict=True):
        torch.testing.assert_close(right * ratio, left, rtol=1e-3, atol=1e-6)


def test_clip_shortens_the_gradient_and_keeps_its_direction():
    (loss, free), (same, clipped) = oracle(PLAIN), oracle(replace(PLAIN, clip=0.1))
    assert loss == same and norm(free) > 0.1
    assert norm(clipped) == pytest.approx(0.1, rel=1e-3)
    for a, b in zip(free, clipped, strict=True):
        torch.testing.assert_close(b * norm(free) / 0.1, a, rtol=1e-3, atol=1e-6)
    for a, b in zip(free, oracle(replace(PLAIN, clip=1e6))[1], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("precision", "bits"), [("bfloat16", 8), ("float16", 11)])
def test_precision_rounds_gradients_to_it(precision, bits):
    (loss, full), (same, rounded) = oracle(PLAIN), oracle(replace(PLAIN, precision=precision))
    assert loss == same
    kind = getattr(torch, precision)
    for a, b in zip(full, rounded, strict=True):
        assert b.dtype == torch.float32 and torch.equal(b, a.to(kind).float())
        torch.testing.assert_close(b, a, rtol=2.0**-bits, atol=1e-6)
    assert any(not torch.equal(a, b) for a, b in zip(full, rounded, strict=True))


def test_gradient_noise_has_its_size_and_is_new_each_call():
    noisy = replace(PLAIN, gradient_noise=0.5)
    (loss, plain), (same, once), (_, twice) = oracle(PLAIN), oracle(noisy), oracle(noisy, 2)
    assert loss == same
    for a, b in zip(plain, once, strict=True):
        if a.numel() > 100:
            size = (b - a).square().mean().sqrt() / a.square().mean().sqrt()
            assert size.item() == pytest.approx(0.5, rel=0.15)
    assert not torch.equal(once[0], twice[0])
    assert torch.equal(once[0], oracle(noisy)[1][0]), "a run repeats exactly"


def test_stale_gradients_are_those_of_earlier_calls():
    """Weights move between calls, which shows where a gradient was taken."""
    runs = []
    for stale in (0, 2):
        task, gradients = build_task(replace(PLAIN, stale=stale)), []
        batch = first_batch(task)
        for _ in range(5):
            gradients.append(task.batch_loss_and_gradient(batch)[1][0].clone())
            for tensor in task.state:
                tensor.mul_(0.9)
        runs.append(gradients)
    now, late = runs
    assert all(torch.equal(late[call], now[call - 2]) for call in (2, 3, 4))
    assert torch.equal(late[0], now[0]) and torch.equal(late[1], now[1]), "the first ones at once"


def test_test_noise_has_its_size_and_is_new_each_call():
    task, noisy = build_task(PLAIN), build_task(replace(PLAIN, test_noise=0.1))
    ratios = torch.tensor([noisy.test(noisy.state) for _ in range(60)]) / task.test(task.state)
    assert ratios.mean().item() == pytest.approx(1, abs=0.05)
    assert ratios.std().item() == pytest.approx(0.1, rel=0.35)


def test_squared_loss_is_the_error_to_one_hot_labels():
    task = build_task(replace(PLAIN, loss="squared"))
    for tensor in task.state:
        tensor.zero_()
    # Of ten zero outputs, one is off by one.
    assert task.test(task.state) == pytest.approx(0.1)
    task.state[-1].fill_(1.0)
    assert task.test(task.state) == pytest.approx(0.9)


@pytest.mark.parametrize("loader", [digits, glyphs])
def test_colours_vary_by_image_and_keep_shapes(loader):
    sizes = {"test": 400} | ({"train": 500, "noise": 0.0} if loader is glyphs else {})
    grey, coloured = loader(None, **sizes).train_x, loader(None, colour=True, **sizes).train_x
    assert coloured.shape == (len(grey), 3, *grey.shape[2:])
    image, colours = grey[0].flatten(), coloured[0].flatten(1)
    for channel in colours:  # each channel is an affine map of the grey image
        assert torch.corrcoef(torch.stack([image, channel]))[0, 1].item() == pytest.approx(1, 1e-3)
    spans = coloured.amax((2, 3)) - coloured.amin((2, 3))
    assert spans.std(0).min() > 0.05, "images differ in colour"


def test_permuted_pixels_are_the_same_pixels_in_one_fixed_order():
    plain, permuted = (digits(None, permuted=p).train_x.flatten(1) for p in (False, True))
    torch.testing.assert_close(plain.sort(1).values, permuted.sort(1).values)
    order = [int((permuted.t() - column).abs().sum(1).argmin()) for column in plain.t()]
    moved = [place for place, at in enumerate(order) if place != at]
    assert len(moved) > 40
    varying = plain.std(0) > 0
    assert torch.equal(permuted[:, order][:, varying], plain[:, varying])


def test_class_subsets_keep_the_first_classes_and_shrink_the_head():
    options = dict(replace(PLAIN, data_options={"classes": 3}).data_options)
    data = load_samples("digits", tuple(options.items()), None)
    assert set(data.train_y.tolist()) == set(data.test_y.tolist()) == {0, 1, 2}
    assert build_task(replace(PLAIN, data_options=options)).state[-1].shape == (3,)
    with pytest.raises(DataError, match="digits has 10 classes: choose from 2 to 10, not 1"):
        digits(None, classes=1)
