"""Peers with published weights take the steps of their papers, and refuse other files."""

import math

import numpy
import pytest
import torch

pytest.importorskip("msgpack", reason="needs the extra peers")
import celo_files
from celo_files import packed, write

from evaluate import peers
from evaluate.errors import InputError
from evaluate.peers import find_peers
from evaluate.submission import load


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """Return the folder in which both peers find made-up weights."""
    monkeypatch.setattr(peers, "CHECKPOINTS", tmp_path)
    write(tmp_path, "celo", packed(celo_files.celo()))
    write(tmp_path, "celo2", packed(celo_files.celo2()))
    return tmp_path


def module_of(name):
    (peer,), _ = find_peers([name])
    module = load(peer.path)
    module.given = dict(peer.given)
    return module


def optimizer_of(name, weights, steps=20):
    module = module_of(name)
    if name == "celo":
        return module.Celo(weights, module.WEIGHTS, steps)
    return module.Celo2(weights, module.WEIGHTS, module.RATE)


def moved(name, weight, gradients, losses=(2.0, 1.0, 3.0, 0.5)):
    """Return the change of a weight under these gradients."""
    weight, before = weight.clone(), weight.clone()
    optimizer = optimizer_of(name, [weight])
    for gradient, loss in zip(gradients, losses, strict=False):
        weight.grad = gradient
        optimizer.step(loss) if name == "celo" else optimizer.step()
    return weight - before


def draw(*shape, seed=0, scale=1.0):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# The reference: one weight at a time, in double-precision scalars, with the axes in the order of
# the authors' networks.


def reference_features(weights, gradients, square_decay, epsilon):
    """Return the features of each entry of a vector or matrix after the last gradient."""
    shape, decays = weights.shape, (0.9, 0.99, 0.999)
    m = {d: numpy.zeros(shape) for d in decays}
    v, rows, columns, full = numpy.zeros(shape), {}, {}, {d: numpy.zeros(shape) for d in decays}
    is_matrix = len(shape) == 2
    longest = max(range(len(shape)), key=lambda i: (shape[i], i))
    for d in decays:
        if is_matrix:  # means over the longer side, then over the shorter one
            rows[d], columns[d] = numpy.zeros(min(shape)), numpy.zeros(max(shape))
    for g in gradients:
        v = square_decay * v + (1 - square_decay) * g**2
        for d in decays:
            m[d] = d * m[d] + (1 - d) * g
            square = g**2 + 1e-30
            full[d] = d * full[d] + (1 - d) * square
            if is_matrix:
                rows[d] = d * rows[d] + (1 - d) * square.mean(axis=longest)
                columns[d] = d * columns[d] + (1 - d) * square.mean(axis=1 - longest)
    found = numpy.zeros((*shape, 30))
    for place in numpy.ndindex(shape):
        g, p, r = gradients[-1][place], weights[place], 1 / math.sqrt(v[place] + epsilon)
        row, column, share, factor = {}, {}, {}, {}
        for d in decays:
            if is_matrix:
                row[d], column[d] = rows[d][place[1 - longest]], columns[d][place[longest]]
                share[d] = row[d] / (rows[d].mean() + 1e-9)
                factor[d] = 1 / math.sqrt(max(share[d], 1e-9) * max(column[d], 1e-9))
            else:
                row[d] = column[d] = full[d][place]
                factor[d] = 1 / math.sqrt(full[d][place])
        mine = [g, min(max(g, -0.1), 0.1), p, *(m[d][place] for d in decays), v[place]]
        mine += [*(m[d][place] * r for d in decays), r, *(g * factor[d] for d in decays), g * r]
        mine += [*row.values(), *column.values()]
        mine += [1 / math.sqrt(x + 1e-8) for x in (*row.values(), *column.values())]
        found[place] = [*mine, *(m[d][place] * factor[d] for d in decays)]
    return found


def reference_network(arrays, features, epsilon):
    """Return the direction and log magnitude of each entry."""
    arrays = {name: array.astype("float64") for name, array in arrays.items()}
    first = numpy.concatenate([arrays[f"w0__{i}"] for i in range(14)])
    square = (features**2).mean(axis=tuple(range(features.ndim - 1)))
    x = features / numpy.sqrt(square + epsilon)
    x = numpy.maximum(x @ first + arrays["b0"], 0)
    x = numpy.maximum(x @ arrays["w1"] + arrays["b1"], 0)
    x = x @ arrays["w2"] + arrays["b2"]
    return x[..., 0], x[..., 1]


def reference_lengths(tree, losses, steps):
    """Return Celo's step-length multiplier at each step."""
    rnn = tree["rnn_params"]
    hidden, cell = tree["lstm_init_state"]["hidden"][0], tree["lstm_init_state"]["cell"][0]
    decays = [math.exp(-1 / 10 ** (1 + i * (math.log10(steps) - 1) / 9)) for i in range(10)]
    sums, least, found = [0.0] * 10, [1e12] * 10, []

    def linear(name, x):
        return x @ rnn[name]["w"].astype("float64") + rnn[name]["b"]

    def sigmoid(x):
        return 1 / (1 + numpy.exp(-x))

    for t, loss in enumerate(losses, start=1):
        if t > 1:
            loss = min(loss, 2 * max(s / (1 - d**t) for s, d in zip(sums, decays, strict=True)))
        sums = [d * s + (1 - d) * loss for s, d in zip(sums, decays, strict=True)]
        means = [s / (1 - d**t) for s, d in zip(sums, decays, strict=True)]
        least = [min(a, b) for a, b in zip(least, means, strict=True)]
        seen = [
            min(max((means[i] - least[i]) / max(means[i + 1] - least[i], 1e-8) - 1, -1), 1)
            for i in range(9)
        ]
        times = (0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1)
        over = [math.tanh(10 * ((t - 1) / steps - time)) for time in times]
        x = numpy.array(over + (seen if t > 2 else [0.0] * 9))
        x = linear("linear_2", x) + numpy.maximum(linear("linear_1", x), 0)
        i, g, f, o = numpy.split(linear("rnn/linear", numpy.concatenate([x, hidden])), 4)
        cell = sigmoid(f + 1) * cell + sigmoid(i) * numpy.tanh(g)
        hidden = sigmoid(o) * numpy.tanh(cell)
        found.append(0.1 * math.exp(linear("step_size", hidden)[0]))
    return found


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (2, 2)])
def test_celo2_takes_the_steps_of_the_paper(checkpoints, shape):
    """JAX puts inputs first, so torch's shape (3, 2) is a 2 x 3 matrix."""
    weight, gradients = draw(*shape), [draw(*shape, seed=seed, scale=0.3) for seed in (1, 2, 3)]
    actual = moved("celo2", weight, gradients).T.numpy()
    w, seen = weight.T.double().numpy(), [g.T.double().numpy() for g in gradients]
    arrays = celo_files.celo2()["ff_mod_stack"]["~"]
    start = w.copy()
    for count in range(1, 4):
        features = reference_features(w, seen[:count], 0.95, 1e-8)
        x, _ = reference_network(arrays, features, 1e-9)
        x = x / (numpy.linalg.norm(x) + 1e-8)
        for _ in range(5):
            # A polynomial of the singular values, for either orientation.
            x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
        w = w - 1e-3 * x / math.sqrt((x**2).mean() + 1e-9)
    numpy.testing.assert_allclose(actual, w - start, rtol=1e-3, atol=2e-7)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (4,)])
def test_celo_takes_the_steps_of_the_paper(checkpoints, shape):
    losses = [2.0, 1.0, 9.0, 0.5]  # the third is more than twice the largest seen
    gradients = [draw(*shape, seed=seed, scale=0.3) for seed in (1, 2, 3, 4)]
    weight = draw(*shape)
    actual = moved("celo", weight, gradients, losses).double().numpy().T
    w, seen = weight.double().numpy().T, [g.double().numpy().T for g in gradients]
    tree = celo_files.celo()
    arrays = {name: array[0] for name, array in tree["ff_mod_stack"]["~"].items()}
    start = w.copy()
    for count, length in enumerate(reference_lengths(tree, losses, steps=20), start=1):
        features = reference_features(w, seen[:count], 0.999, 1e-6)
        direction, magnitude = reference_network(arrays, features, 1e-5)
        scale = math.sqrt((w**2).mean() + 1e-9)
        w = w - 1e-3 * length * scale * direction * numpy.exp(1e-3 * magnitude)
    numpy.testing.assert_allclose(actual, w - start, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_celo2_steps_have_the_length_of_the_rate(checkpoints, scale):
    """The update is normalised, whatever the size of the gradients."""
    step = moved("celo2", draw(8, 5, scale=0.1), [draw(8, 5, seed=1, scale=scale)])
    assert step.square().mean().sqrt() == pytest.approx(1e-3, rel=1e-3)


def test_celo2_steps_are_orthogonal(checkpoints):
    step = moved("celo2", draw(6, 4), [draw(6, 4, seed=1)])
    singular = torch.linalg.svdvals(step)
    assert singular.max() / singular.min() < 2
    x = draw(3, 5, 7)
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    polar = module_of("celo2").orthogonal(x)
    singular = (u.mT @ polar @ v.mT).diagonal(dim1=-2, dim2=-1)
    assert ((singular > 0.6) & (singular < 1.3)).all()


def test_celo2_treats_a_1x1_filter_as_a_matrix(checkpoints):
    weight, gradients = draw(6, 4), [draw(6, 4, seed=1), draw(6, 4, seed=2)]
    kernel = moved("celo2", weight[..., None, None], [g[..., None, None] for g in gradients])
    torch.testing.assert_close(kernel[..., 0, 0], moved("celo2", weight, gradients))


def test_celo2_orthogonalises_each_pixel_of_a_filter(checkpoints):
    step = moved("celo2", draw(6, 4, 3, 3), [draw(6, 4, 3, 3, seed=1)])
    singular = torch.linalg.svdvals(step.permute(2, 3, 0, 1))
    assert (singular.amax(-1) / singular.amin(-1) < 2).all()


def test_celo_steps_are_relative_to_the_weights(checkpoints):
    weight, gradients = draw(8, 5, scale=3.0), [draw(8, 5, seed=1)]
    step = moved("celo", weight, gradients)
    torch.testing.assert_close(moved("celo", 10 * weight, gradients), 10 * step, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ["celo", "celo2"])
def test_largest_gradients_are_clipped(checkpoints, name):
    weight, huge = draw(5, 4), torch.full((5, 4), 1e3)
    huge[0, 0] = -1e3
    step = moved(name, weight, [huge * 1e9])
    torch.testing.assert_close(step, moved(name, weight, [huge]))


def test_celo_moves_scalars_too(checkpoints):
    step = moved("celo", torch.tensor(2.0), [torch.tensor(0.5)])
    assert step.shape == () and step < 0


def test_rate_warms_up_and_falls_to_a_tenth(checkpoints):
    factor = module_of("celo2").factor
    rates = [factor(step, 200) for step in range(201)]
    assert rates[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert rates[105] == pytest.approx(0.55) and rates[200] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_another_weight_file_makes_another_peer(checkpoints):
    (before, _), _ = find_peers(["celo2", "celo"])
    write(checkpoints, "celo", packed(celo_files.celo(seed=1)))
    (after, _), _ = find_peers(["celo2", "celo"])
    assert before.name == after.name == "celo" and before.sha256 != after.sha256


@pytest.mark.parametrize("name", ["celo", "celo_half", "celo2", "celo2_quarter"])
def test_missing_weights_say_where_to_get_them(tmp_path, monkeypatch, name):
    monkeypatch.setattr(peers, "CHECKPOINTS", tmp_path)
    file = name.partition("_")[0]
    command = f"hf download amoudgl/{file} theta.state --local-dir .*/{file}"
    message = f"--peers {name}: .*/{file}/theta.state is missing; get the weights with: {command}"
    with pytest.raises(InputError, match=message):
        find_peers([name])
    found, missing = find_peers(["all"])
    assert name in missing and name not in {peer.name for peer in found}


def nan_in(tree):
    tree["ff_mod_stack"]["~"]["b1"][:1] = math.nan
    return packed(tree)


DAMAGED = {
    "nothing": (b"", "is not a file of weights"),
    "another_format": (b"PK\x03\x04" + bytes(100), "is not a file of weights"),
    "cut_short": (packed(celo_files.celo2())[:-9], "is not a file of weights"),
    "other_type": (packed(celo_files.celo2(), "float64"), "is not a file of weights"),
    "not_finite": (nan_in(celo_files.celo2()), "ff_mod_stack.~.b1 is not finite"),
    "not_a_network": (packed({"ff_mod_stack": {"~": 3}}), "holds no ff_mod_stack.~.w0__0 of shape"),
    "celo": (packed(celo_files.celo()), r"holds no ff_mod_stack.~.w0__0 of shape \(1, 8\)"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_file_is_named(checkpoints, kind):
    content, message = DAMAGED[kind]
    write(checkpoints, "celo2", content)
    with pytest.raises(InputError, match=f"celo2/theta.state: {message}.*; get the weights"):
        module_of("celo2")
