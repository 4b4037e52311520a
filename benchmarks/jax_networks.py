"""Forward passes of the training families in JAX, for the throughput benchmark only.

Call `NETWORKS[family](weights, x, options)`: weights is name -> array, named as in torch; x is `[N,
C, H, W]`, or tokens `[N, T]`; options are the variant's. It returns logits or images.
`LOSSES[loss](output, x, y)` is the mean over all labels or pixels.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax, nn

ACTIVATIONS = {
    "relu": nn.relu,
    "tanh": jnp.tanh,
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "silu": nn.silu,
}
EPSILON = 1e-5  # torch's default for all normalisations


def linear(w: dict, name: str, x: jax.Array) -> jax.Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def mlp(w: dict, x: jax.Array, options: dict) -> jax.Array:
    x = x.reshape(len(x), -1)
    for i in range(options["depth"]):
        x = ACTIVATIONS[options["activation"]](linear(w, f"hidden.{i}", x))
    return linear(w, "head", x)


def residual_mlp(w: dict, x: jax.Array, options: dict) -> jax.Array:
    x = linear(w, "stem", x.reshape(len(x), -1))
    for i in range(options["depth"]):
        y = _layer_norm(w, f"blocks.{i}.0", x) if options["norm"] == "layer" else x
        y = ACTIVATIONS[options["activation"]](linear(w, f"blocks.{i}.1", y))
        y = linear(w, f"blocks.{i}.3", y)
        x = x + y if options["skip"] else y
    return linear(w, "head", x)


def autoencoder(w: dict, x: jax.Array, options: dict) -> jax.Array:
    y = x.reshape(len(x), -1)
    for side in ("down", "up"):
        for i in range(options["depth"]):
            y = ACTIVATIONS[options["activation"]](linear(w, f"{side}.{i}", y))
        y = linear(w, f"{side}.{options['depth']}", y)
    return y.reshape(x.shape)


def cnn(w: dict, x: jax.Array, options: dict) -> jax.Array:
    for i in range(options["depth"]):
        stride = 1 if i == 0 else 2
        x = lax.conv_general_dilated(x, w[f"blocks.{i}.0.weight"], (stride, stride), [(1, 1)] * 2)
        x = x + w[f"blocks.{i}.0.bias"][:, None, None]
        if options["norm"] != "none":
            x = _standardised(x, options["norm"]) * w[f"blocks.{i}.1.weight"][:, None, None]
            x = x + w[f"blocks.{i}.1.bias"][:, None, None]
        x = ACTIVATIONS[options["activation"]](x)
    return linear(w, "head", x.mean((-2, -1)))


def _standardised(x, norm):
    if norm == "batch":
        return _centred(x, (0, 2, 3))
    count, channels, *pixels = x.shape
    groups = channels // 4 if channels % 4 == 0 else 1
    return _centred(x.reshape(count, groups, -1, *pixels), (2, 3, 4)).reshape(x.shape)


def _centred(x, axes):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + EPSILON)


_CELL = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _recurrent(cell, parts, w, tokens, options):
    x = w["embedding.weight"][tokens]
    for layer in range(options["depth"]):
        w_ih, w_hh, b_ih, b_hh = (w[f"cells.{name}_l{layer}"] for name in _CELL)
        projected = (x @ w_ih.T + b_ih + b_hh).swapaxes(0, 1)
        state = (jnp.zeros((len(x), w_hh.shape[1]), x.dtype),) * parts
        x = lax.scan(functools.partial(cell, w_hh), state, projected)[1].swapaxes(0, 1)
    head = w["embedding.weight" if options["tied"] else "head.weight"]
    return x @ head.T + w["head.bias"]


def _lstm(w_hh, state, entry):
    h, c = state
    i, f, g, o = jnp.split(entry + h @ w_hh.T, 4, -1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    h = nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _elman(w_hh, state, entry):
    h = jnp.tanh(entry + state[0] @ w_hh.T)
    return (h,), h


def transformer_lm(w: dict, tokens: jax.Array, options: dict) -> jax.Array:
    length = tokens.shape[1]
    x = w["embedding.weight"][tokens] + w["position"][:length]
    for i in range(options["depth"]):
        block = f"blocks.{i}"
        x = x + linear(w, f"{block}.project", _attend(w, block, x, options["heads"]))
        y = linear(w, f"{block}.mlp.0", _layer_norm(w, f"{block}.mlp_norm", x))
        x = x + linear(w, f"{block}.mlp.2", ACTIVATIONS[options["activation"]](y))
    return linear(w, "head", _layer_norm(w, "norm", x))


def _attend(w, block, x, heads):
    qkv = linear(w, f"{block}.qkv", _layer_norm(w, f"{block}.attention_norm", x))
    count, length, _ = qkv.shape
    q, k, v = qkv.reshape(count, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
    future = jnp.triu(jnp.ones((length, length), bool), 1)
    weights = nn.softmax(jnp.where(future, -jnp.inf, scores), -1)
    return (weights @ v).swapaxes(1, 2).reshape(count, length, -1)


def _layer_norm(w, name, x):
    return _centred(x, -1) * w[f"{name}.weight"] + w[f"{name}.bias"]


NETWORKS = {
    "mlp": mlp,
    "cnn": cnn,
    "rnn_lm": functools.partial(_recurrent, _lstm, 2),
    "transformer_lm": transformer_lm,
    "residual_mlp": residual_mlp,
    "autoencoder": autoencoder,
    "elman_lm": functools.partial(_recurrent, _elman, 1),
}


def cross_entropy(logits: jax.Array, x: jax.Array, labels: jax.Array) -> jax.Array:
    logs = nn.log_softmax(logits)
    return -jnp.take_along_axis(logs, labels[..., None], -1).mean()


def reconstruction(output: jax.Array, x: jax.Array, labels: jax.Array) -> jax.Array:
    return ((output - x) ** 2).mean()


LOSSES = {"cross_entropy": cross_entropy, "reconstruction": reconstruction}
