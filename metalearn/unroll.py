"""Meta-gradients by truncated backpropagation through the inner steps, on the library `higher`.

The meta-loss is the training loss along the way, in units of the gap between the first loss and the
target: it can be differentiated, as the challenge's score cannot. The gradient has little variance,
but knows nothing of what follows the truncation (Wu et al. 2018 show the bias), and it counts steps
rather than time to the target. Hence it serves as a warm start.

Learning rates reach the optimizer by `diffopt.step(..., override={"lr": [...]})`, one parameter
group and one rate per tensor. All particles are unrolled at once: a leading axis P is one of the
tensors' own, and rates broadcast over the rest. Memory grows with the number of steps.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import higher
import torch

from metalearn.estimator import Estimate
from metalearn.inner import InnerProblem
from metalearn.tree import detached, leaves, overwrite
from policy.rule.controller import decide, rates_of
from policy.rule.layout import Layout
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.signal import observe
from policy.rule.spec import Spec
from policy.rule.step import Carry, with_rates
from policy.rule.update import Buffers, accumulate, advance
from policy.rule.weights import unflatten
from tasks import BatchedTask


def differentiable(
    optimizer: type[torch.optim.Optimizer],
    params: list[torch.Tensor],
    state: Sequence[dict[str, torch.Tensor]] | None = None,
    **settings: Any,
) -> Any:
    """A differentiable optimizer with one parameter group per tensor.

    Args:
        optimizer: class that `higher` knows: `torch.optim.SGD`, `Adam`, ... or
            `LearnedRule`. `higher`'s Adam adds epsilon before the bias correction.
        params: list of tensors; their values are not used.
        state: per tensor, the optimizer's state to start from (name -> tensor).
        settings: of the optimizer; its `lr` is overridden at every step.
    """
    params = [p.detach().requires_grad_() for p in params]
    plain = optimizer([{"params": [p]} for p in params], **settings)
    for p, values in zip(params, state or [], strict=False):
        plain.state[p] = values
    return higher.optim.get_diff_optim(plain, params)


def unroll(
    diffopt: Any,
    params: list[torch.Tensor],
    steps: int,
    loss_of: Callable,
    settings_of: Callable,
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Train for `steps` steps; everything returned can be differentiated.

    Args:
        diffopt: from `differentiable`.
        params: list of tensors, which require gradients.
        loss_of: `(step index, params) -> losses`, summed before they are differentiated.
        settings_of: `(step index, params, gradients, losses) -> settings`: name -> one value per
            tensor, `lr` among them, each shaped so that it broadcasts to the tensor
            (`LearnedRule` has its own).

    Returns:
        `(params, losses)`: the last weights, and the losses of all steps `[steps, ...]`.
    """
    history = []
    for t in range(steps):
        losses = loss_of(t, params)
        gradients = torch.autograd.grad(losses.sum(), params, create_graph=True)
        settings = settings_of(t, params, gradients, losses)
        # The controller has to see the gradient first; the callback spares differentiating twice.
        params = diffopt.step(
            sum(p.sum() for p in params),
            params=params,
            override=settings,
            grad_callback=lambda _, gradients=gradients: list(gradients),
        )
        history.append(losses)
    return params, torch.stack(history)


class LearnedRule(torch.optim.Optimizer):
    """The policy's update (`policy.rule.update`) in torch's terms, so that `higher` takes it.

    Tensors are `[P, *shape]`, `lr` is `[P]`; `direction`, like the tensor, is the one of
    `policy.rule.orthogonal`. Its state: `momentum` and `average`, each like the tensor, and `step`
    `[P]`. Only the differentiable counterpart makes steps.
    """

    def __init__(self, params: Iterable):
        super().__init__(params, {"lr": 0.0, "direction": 0.0})


class _DifferentiableLearnedRule(higher.optim.DifferentiableOptimizer):
    def _update(self, grouped_grads, **_):
        for group, gradients, states in zip(
            self.param_groups, grouped_grads, self.state, strict=True
        ):
            (weight,), (gradient,), state = group["params"], gradients, states[0]
            moments = [state[name] for name in Buffers._fields[1:]]
            flat = [_as_rows(t) for t in (weight, *moments, gradient)]
            state["step"] = state["step"] + 1
            buffers = accumulate(Buffers(*flat[:-1]), flat[-1])
            rates, direction = _as_rows(group["lr"]), _as_rows(group["direction"])
            buffers = advance(buffers, state["step"], rates, direction)
            moved = [t.view(weight.shape) for t in buffers]
            group["params"][0] = moved[0]
            state.update(zip(Buffers._fields[1:], moved[1:], strict=True))


higher.register_optim(LearnedRule, _DifferentiableLearnedRule)


def _as_rows(tensor):
    """`[P, *shape]` -> `[P, 1, n]`: one row, so that `policy.rule.update` takes it."""
    return tensor.reshape(len(tensor), 1, -1)


def pack(layout: Layout, tensors: list[torch.Tensor]) -> torch.Tensor:
    """As `layout.pack`, but differentiable: `[P, *shape]` each -> `[P, rows, width]`."""
    return layout.join([tensor.flatten(1) for tensor in tensors])


class LearnedUnroll:
    """Unrolls particles of a task with a policy, from where their carry stands.

    Args:
        spec, layout: as in `policy.rule.step`.
        carry: `policy.rule.step.Carry` of P particles; it stays as it is.
        weights: the policy's, name -> `[P, *shape]`; gradients flow to them.
        which: `[P]`, as in `metalearn.episodes.Episode`.
    """

    def __init__(
        self,
        task: BatchedTask,
        spec: Spec,
        layout: Layout,
        carry: Carry,
        weights: dict[str, torch.Tensor],
        which: torch.Tensor,
    ):
        self.task, self.spec, self.layout, self.weights = task, spec, layout, weights
        self.which = which
        self.last = carry
        self.params = [t.detach().requires_grad_() for t in layout.unpack(carry.buffers.weight)]
        moments = [layout.unpack(matrix) for matrix in carry.buffers[1:]]
        state = [
            {**dict(zip(Buffers._fields[1:], own, strict=True)), "step": carry.step}
            for own in zip(*moments, strict=True)
        ]
        self.diffopt = differentiable(LearnedRule, self.params, state)

    def advance(self, indices: torch.Tensor) -> torch.Tensor:
        """Steps on the samples `[stride, P, batch]`; training losses `[stride, P]`."""

        def loss_of(t, params):
            batch = self.task.batch(self.which, indices[t])
            return self.task.loss(params, self.which, batch)

        self.params, losses = unroll(
            self.diffopt, self.params, len(indices), loss_of, self._settings_of
        )
        return losses

    def _settings_of(self, t, params, gradients, losses):
        step = self.last.step + 1
        signal = observe(self.last.signal, step, losses)
        gradient = pack(self.layout, gradients)
        buffers = accumulate(self._buffers(params), gradient)
        direction = orthogonal_direction(self.layout, buffers.momentum, gradient)
        carry = self.last._replace(step=step, buffers=buffers, signal=signal)
        if t == 0:
            memory = decide(self.spec, self.weights, self.layout, carry, gradient, direction)
            carry = carry._replace(memory=memory)
        self.last = carry
        rates = carry.multiplier * rates_of(self.spec, carry.memory)
        return {"lr": list(rates.unbind(-1)), "direction": self.layout.unpack(direction)}

    def _buffers(self, params):
        moments = [
            [states[0][name] for states in self.diffopt.state] for name in Buffers._fields[1:]
        ]
        return Buffers(*(pack(self.layout, tensors) for tensors in (params, *moments)))

    def carry(self) -> Carry:
        """The carry where the unroll stands, for a later one to go on from."""
        carry = self.last._replace(buffers=self._buffers(self.params))
        return with_rates(self.spec, self.layout, carry)


class Unroll:
    """Meta-gradients by backpropagation (an `metalearn.estimator.Estimator`).

    Args:
        problem: `metalearn.inner.InnerProblem`. Without perturbations both particles of a
            pair would do the same, so one is unrolled, and the other made its equal.
        size: number of weights of the policy.
    """

    def __init__(self, problem: InnerProblem, size: int):
        self.problem = problem
        self.mask = torch.ones(size, device=problem.generator.device)

    def estimate(self, theta: torch.Tensor) -> Estimate:
        """Meta-gradient at `theta` `[n]`; particles without a finite one are left out."""
        problem = self.problem
        pairs, device = problem.pairs, problem.generator.device
        # A copy per particle: one without a finite gradient must not spoil the others'.
        own = theta.detach().to(device).expand(pairs, -1).clone().requires_grad_()
        before = problem.costs()[:pairs].clone()
        total = self.meta_loss(own)
        gradients = torch.autograd.grad(total.sum(), own)[0]
        valid = torch.isfinite(gradients).all(1)
        gradient = self.mask * gradients[valid].sum(0) / pairs
        problem.fail_diverged()
        costs = problem.costs()[:pairs] - before
        problem.restart_finished()
        return Estimate(gradient, costs[:, None])

    def meta_loss(self, own: torch.Tensor) -> torch.Tensor:
        """Mean training loss of one truncation, in units of the gap, `[pairs]`; moves on.

        Args:
            own: policy weights `[n]`, or `[pairs, n]`: each particle's.
        """
        problem = self.problem
        weights = unflatten(problem.spec, own.expand(problem.pairs, -1))
        rollout, pairs = problem.rollout, problem.pairs
        half = problem.first_of_pairs()
        episode = half.episode
        run = LearnedUnroll(
            problem.pool.task,
            problem.spec,
            rollout.layout,
            half.carry,
            weights,
            episode.which,
        )
        total = torch.zeros(pairs, device=episode.target.device)
        for _ in range(problem.chunks):
            active = ~half.finished()
            losses = run.advance(problem.indices()[:, :pairs])
            gap = (run.last.signal.first - episode.target).detach().abs().clamp(min=1e-6)
            total = total + torch.where(active, losses.sum(0) / gap, torch.zeros_like(gap))
            half = rollout.scored(half, detached(run.carry()), len(losses))
        overwrite(problem.particles, [torch.cat([t, t]) for t in leaves(half)])
        return total / (problem.chunks * problem.spec.stride)

    def state(self) -> list[torch.Tensor]:
        """What a checkpoint keeps: tensors with pairs first."""
        return self.problem.state()

    def restore(self, tensors: list[torch.Tensor]) -> None:
        """Take up the state that `state` gave."""
        self.problem.restore(tensors)
