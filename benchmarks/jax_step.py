"""The throughput benchmark's peer: one call of `metalearn.rollout.Rollout.advance` in JAX.

It is `jit` of `scan` over inner steps of `vmap` over particles. State is kept per tensor, as is
usual in JAX, rather than packed in one matrix. Products are in full float32, torch's default,
except in the orthogonal direction, where both use TF32 if the device has it. The benchmark only
times it if its test losses agree with torch's.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax

from benchmarks.jax_networks import LOSSES, NETWORKS
from metalearn.episodes import Pool
from metalearn.rollout import Particles
from policy.rule import controller, features, orthogonal, signal, update
from policy.rule.layout import Layout
from policy.rule.spec import Spec
from tasks.data import load_samples
from tasks.model import build_network, tensor_scales

jax.config.update("jax_default_matmul_precision", "highest")


class State(NamedTuple):
    """State of one particle; outside of `vmap` every entry has a leading axis P.

    Lists have one entry per tensor.
    """

    step: jax.Array
    weight: list
    momentum: list
    average: list
    signal: signal.Signal
    memory: controller.Memory


class JaxRollout:
    """Repeated calls of `advance` with the same arguments as in torch.

    Args:
        pool: `metalearn.episodes.Pool` of plain supervised variants of NETWORKS' families.
        particles: `metalearn.rollout.Particles`, the state to start from.
        weights, indices: the policy's weights, and the samples of each step.
    """

    def __init__(
        self,
        pool: Pool,
        spec: Spec,
        particles: Particles,
        weights: dict[str, torch.Tensor],
        indices: torch.Tensor,
    ):
        task, variant = pool.task, pool.task.variants[0]
        shape = load_samples(variant.data, variant.data_options, None).shape
        self.spec, self.layout = spec, Layout(task.shapes)
        self.names = [name for name, _ in build_network(variant, shape).named_parameters()]
        self.network, self.options = NETWORKS[variant.family], dict(variant.arch)
        self.loss_of = LOSSES[variant.loss]
        scales = [tensor_scales(v, len(self.names)) for v in task.variants]
        self.scales = jnp.asarray(np.array(scales, np.float32))
        self.train_x, self.labels = _array(task._train_x), _array(task._labels)
        self.label_row = _array(task._label_row)
        self.test_x, self.test_y = _array(task._test_x), _array(task._test_y)
        features._descriptors(self.layout)
        carry = particles.carry
        tensors: Any = [[_array(t) for t in self.layout.unpack(m)] for m in carry.buffers]
        self.state = State(  # type: ignore[call-arg]
            _array(carry.step),
            *tensors,
            signal.Signal(*map(_array, carry.signal)),
            controller.Memory(*map(_array, carry.memory)),
        )
        policy = {name: _array(weight) for name, weight in weights.items()}
        self.rest = policy, _array(particles.episode.which), _array(indices)
        self.advance = jax.jit(self._advance, donate_argnums=0)

    def __call__(self) -> jax.Array:
        """Advance, and return the test losses `[P]`, which JAX may still be computing."""
        self.state, tested = self.advance(self.state, *self.rest)
        return tested

    def wait(self) -> None:
        """Wait until all calls so far are finished."""
        jax.block_until_ready(self.state)

    def _advance(self, state, weights, which, indices):
        """Make `stride` steps and a test, with torch's arguments.

        Return `(state, test losses [P])`.
        """
        step = jax.vmap(self._step, in_axes=(0, 0, 0, 0, None))
        state = step(state, weights, which, indices[0], True)

        def held(state, index):
            return step(state, weights, which, index, False), None

        state, _ = lax.scan(held, state, indices[1:])
        tested = jax.vmap(self._loss, in_axes=(0, 0, None, None))
        return state, tested(state.average, which, self.test_x, self.test_y)

    def _loss(self, params, which, x, y):
        scaled = [p * self.scales[which, i] for i, p in enumerate(params)]
        weights = dict(zip(self.names, scaled, strict=True))
        return self.loss_of(self.network(weights, x, self.options), x, y)

    def _step(self, state, weights, which, index, is_decision):
        x, y = self.train_x[index], self.labels[self.label_row[which], index]
        loss, gradient = jax.value_and_grad(self._loss)(state.weight, which, x, y)
        step = state.step + 1
        momentum = _mixed(state.momentum, gradient)
        observed = _observe(state.signal, step, loss)
        state = state._replace(step=step, momentum=momentum, signal=observed)
        direction = _orthogonal_direction(state, gradient)
        if is_decision:
            memory = self._decide(weights, state, gradient, direction)
            state = state._replace(memory=memory)
        moves = zip(state.weight, self._rates(state.memory), direction, strict=True)
        weight = [w - rate * o for w, rate, o in moves]
        share = (update.AVERAGING + 1) / (step + update.AVERAGING)
        average = [a + share * (w - a) for a, w in zip(state.average, weight, strict=True)]
        return state._replace(weight=weight, average=average)

    def _rates(self, memory):
        lowered = memory.restraint + memory.overreach
        return self.spec.base_rate * jnp.exp(memory.output - lowered) * memory.unit

    def _decide(self, weights, state, gradient, direction):
        memory, count = state.memory, len(self.names)
        drift = [w - a for w, a in zip(state.weight, state.average, strict=True)]
        share = update.averaging((state.step - 1) / self.spec.stride + 1)
        rises = _dots(gradient, drift)
        excess = memory.excess + share * (rises.sum() - memory.excess)
        cosine = rises / (_norms(gradient) * _norms(drift) + features.TINY)
        overshot = memory.overshot + share * (cosine - memory.overshot)
        shared = _bounded(_shared(state, excess))
        shared = jnp.broadcast_to(shared, (count, len(shared)))
        own = self._features(state, gradient, drift, direction, overshot)
        seen = jnp.concatenate([own, shared], -1)
        mean = jnp.broadcast_to(memory.hidden.mean(0), memory.hidden.shape)
        inputs = jnp.concatenate([seen, memory.output[:, None] / 2, mean, memory.hidden], -1)
        gates = inputs @ weights["lstm.weight"] + weights["lstm.bias"]
        entry, forget, candidate, out = jnp.split(gates, 4, -1)
        cell = jax.nn.sigmoid(forget + 1) * memory.cell
        cell = cell + jax.nn.sigmoid(entry) * jnp.tanh(candidate)
        hidden = jax.nn.sigmoid(out) * jnp.tanh(cell)
        raw = hidden @ weights["head.weight"] + controller.SKIP * (seen @ weights["skip.weight"])
        output = (self.spec.gain * (raw[:, 0] + weights["head.bias"])).clip(
            -controller.MAX_LOG, controller.MAX_LOG
        )
        risen = jnp.minimum(output, memory.output + controller.RISE)
        output = jnp.where(state.step < 1.5, output, risen)
        told = memory.unit, overshot, excess, _restraint(state.signal, excess)
        decided = controller.Memory(seen, hidden, cell, output, *told, jnp.zeros_like(excess))
        return decided._replace(overreach=self._overreach(state, decided, direction))

    def _overreach(self, state, memory, direction):
        falls = self._rates(memory) * _dots(state.momentum, direction)
        seen = state.signal
        fast = seen.fast / _debias(state.step, signal.FAST_DECAY)
        spread = jnp.sqrt(seen.square / _debias(state.step, signal.SLOW_DECAY) + 1e-30)
        to_lose = fast + signal.LEAST_TO_LOSE * jnp.abs(seen.first)
        aim = falls.sum() / _debias(state.step, update.DECAY)
        aim = jnp.where(fast > spread, aim / to_lose, 0.0)
        aim = jnp.where(aim > controller.MOST_AIM, 0.0, aim)
        return jnp.log((aim / controller.FARTHEST_AIM).clip(1.0))

    def _features(self, state, gradient, drift, direction, overshot):
        told = jnp.arcsinh(20 * overshot) / 2
        vectors = gradient, state.momentum, drift, direction, state.weight
        g, m, d, o, w = (_norms(t) for t in vectors)
        moved, root = self._rates(state.memory) * o, jnp.sqrt(_array(self.layout.sizes))
        measured = [
            _dots(gradient, state.momentum) / (g * m + features.TINY),
            _dots(state.momentum, direction) / (m * o + features.TINY),
            features.TOO_LONG * jnp.maximum(told, 0.0)
            + features.TOO_SHORT * jnp.minimum(told, 0.0),
            _log_ratio(m / _debias(state.step, update.DECAY), g, 0.75, 0.75),
            _log_ratio(w, root, 2.5, 2.0),
            _log_ratio(d, w, 3.0, 2.0),
            _log_ratio(moved, w, 6.0, 2.0),
            _log_ratio(moved, root, 7.0, 2.0),
        ]
        described = _array(self.layout.descriptors)
        return _bounded(jnp.concatenate([jnp.stack(measured, -1), described], -1))


def to_torch(array: jax.Array) -> torch.Tensor:
    """Return a copy of a JAX array as a tensor."""
    return torch.from_numpy(np.array(array))


def _mixed(momentum, gradient):
    pairs = zip(momentum, gradient, strict=True)
    return [update.DECAY * m + (1 - update.DECAY) * g for m, g in pairs]


def _orthogonal_direction(state, gradient):
    with jax.default_matmul_precision("tensorfloat32"):
        return [_orthogonal(ahead) for ahead in _mixed(state.momentum, gradient)]


def _orthogonal(momentum):
    norm = jnp.sqrt((momentum * momentum).sum() + orthogonal.LEAST_NORM_SQUARE)
    if momentum.ndim < 2:
        return momentum * (momentum.size**0.5 / norm)
    matrix = momentum.reshape(momentum.shape[0], -1) / (orthogonal.SLACK * norm)
    is_tall = matrix.shape[0] > matrix.shape[1]
    found = _orthogonalised(matrix.T if is_tall else matrix)
    return (found.T if is_tall else found).reshape(momentum.shape)


def _orthogonalised(matrix):
    gram, product = matrix @ matrix.T, jnp.eye(len(matrix))
    for a, b, c in orthogonal.ROUNDS:
        factor = a * jnp.eye(len(matrix)) + b * gram + c * (gram @ gram)
        product, gram = factor @ product, factor @ gram @ factor
    return product @ matrix * matrix.shape[1] ** 0.5


def _observe(old, step, loss):
    is_first = step < 1.5
    before = jnp.where(is_first, loss, old.fast / _debias(step - 1, signal.FAST_DECAY))
    f, s = signal.FAST_DECAY, signal.SLOW_DECAY
    return signal.Signal(
        jnp.where(is_first, loss, old.first),
        f * old.fast + (1 - f) * loss,
        s * old.slow + (1 - s) * loss,
        s * old.square + (1 - s) * (loss - before) ** 2,
        old.recent + update.averaging(step) * (loss - old.recent),
        old.earlier + update.averaging(step, signal.EARLIER) * (loss - old.earlier),
    )


def _restraint(seen, excess):
    rows = [most * _bouncing(seen, excess, least) ** p for most, p, least in signal.RESTRAINTS]
    return jnp.stack(rows).max()


def _bouncing(seen, excess, least):
    loss = jnp.abs(seen.recent) + least * jnp.abs(seen.first)
    share = excess.clip(0.0) / (loss + 1e-30)
    return jnp.tanh(jnp.where(share <= signal.MOST_LOSS, share, 0.0))


def _shared(state, excess):
    seen, step = state.signal, state.step
    fast = seen.fast / _debias(step, signal.FAST_DECAY)
    slow = seen.slow / _debias(step, signal.SLOW_DECAY)
    spread = jnp.sqrt(seen.square / _debias(step, signal.SLOW_DECAY) + 1e-30)
    first = jnp.abs(seen.first).clip(1e-6)
    present = jnp.abs(seen.recent) + signal.LEAST_PRESENT * first
    return jnp.stack(
        [
            jnp.arcsinh(10 * fast / first) / 3,
            jnp.tanh((slow - fast) / (spread + 1e-3 * first)),
            jnp.log(spread / first + 1e-4) / 4 + 1,
            jnp.log(step).clip(max=signal.LOG_STEPS) / 4 - 1,
            jnp.tanh(4 * (seen.earlier - seen.recent) / present),
            jnp.log((seen.recent / first).clip(0) + 3e-3) / 2 + 1,
            jnp.arcsinh(30 * excess / first) / 3,
            jnp.tanh(excess / present),
        ]
    )


def _debias(step, decay):
    return (1 - jnp.exp(step * math.log(decay))).clip(1e-6)


def _bounded(values):
    return jnp.nan_to_num(values, nan=0.0).clip(-4.0, 4.0)


def _dots(a, b):
    return jnp.stack([(x * y).sum() for x, y in zip(a, b, strict=True)])


def _norms(tensors):
    return jnp.sqrt(_dots(tensors, tensors) + features.TINY_SQUARE)


def _log_ratio(a, b, offset, unit):
    return (jnp.log((a + features.TINY) / (b + features.TINY)) + offset) / unit


def _array(tensor):
    # Copy: otherwise torch could overwrite memory shared with JAX.
    return jnp.array(tensor.detach().cpu().numpy(), copy=True)
