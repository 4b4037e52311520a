"""Meta-gradients by truncated backpropagation through the inner steps, with the library `higher`.

The meta-loss is the mean training loss, in units of the gap between the first loss and the target.
Unlike the challenge's score it is differentiable. The gradient has little variance, but ignores
what follows the truncation (Wu et al. 2018), so it serves as a warm start.

The optimizer gets its learning rates from `diffopt.step(..., override={"lr": [...]})`, with one
parameter group and one rate per tensor. All particles are unrolled at once: tensors have a leading
axis P, and rates broadcast over the rest. Memory grows with the number of steps.
"""

from collections.abc import Iterable

import higher
import torch

from metalearn.estimator import Estimate, Estimator
from metalearn.tree import leaves, mapped, overwrite
from policy.rule.controller import decide, rates_of
from policy.rule.layout import Layout
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.signal import observe
from policy.rule.spec import Spec
from policy.rule.step import Carry, with_rates
from policy.rule.update import Buffers, accumulate, advance
from policy.rule.weights import unflatten
from tasks import BatchedTask

MOMENTS = Buffers._fields[1:]  # state of the optimizer per tensor, besides the step


class LearnedRule(torch.optim.Optimizer):
    """The policy's update (`policy.rule.update`) as a torch optimizer, for `higher`.

    Tensors are `[P, *shape]`, `lr` is `[P]`, and `direction` comes from `policy.rule.orthogonal`.
    The state consists of MOMENTS and `step` `[P]`. Only the differentiable counterpart can step.
    """

    def __init__(self, params: Iterable):
        super().__init__(params, {"lr": 0.0, "direction": 0.0})


class _DifferentiableLearnedRule(higher.optim.DifferentiableOptimizer):
    def _update(self, grouped_grads, **_):
        for group, gradients, states in zip(
            self.param_groups, grouped_grads, self.state, strict=True
        ):
            (weight,), (gradient,), state = group["params"], gradients, states[0]
            moments = [state[name] for name in MOMENTS]
            flat = [_as_rows(t) for t in (weight, *moments, gradient)]
            state["step"] = state["step"] + 1
            buffers = accumulate(Buffers(*flat[:-1]), flat[-1])
            rates, direction = _as_rows(group["lr"]), _as_rows(group["direction"])
            buffers = advance(buffers, state["step"], rates, direction)
            moved = [t.view(weight.shape) for t in buffers]
            group["params"][0] = moved[0]
            state.update(zip(MOMENTS, moved[1:], strict=True))


higher.register_optim(LearnedRule, _DifferentiableLearnedRule)


def _as_rows(tensor):
    """Reshape `[P, *shape]` to `[P, 1, n]`, one row, for `policy.rule.update`."""
    return tensor.reshape(len(tensor), 1, -1)


class LearnedUnroll:
    """Unrolls P particles of a task with a policy, starting from `carry`. Gradients flow to the
    policy's `weights`, name -> `[P, *shape]`."""

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
        optimizer = LearnedRule({"params": [param]} for param in self.params)
        moments = [layout.unpack(matrix) for matrix in carry.buffers[1:]]
        for param, *own in zip(self.params, *moments, strict=True):
            optimizer.state[param] = dict(zip(MOMENTS, own, strict=True), step=carry.step)
        self.diffopt = higher.optim.get_diff_optim(optimizer, self.params)

    def advance(self, indices: torch.Tensor) -> torch.Tensor:
        """Step on the samples `indices` `[stride, P, batch]`; return losses `[stride, P]`."""
        history = []
        for t, index in enumerate(indices):
            losses = self.task.loss(self.params, self.which, self.task.batch(self.which, index))
            gradients = torch.autograd.grad(losses.sum(), self.params, create_graph=True)
            # The controller needs the gradient first. The callback avoids computing it again.
            self.params = self.diffopt.step(
                sum(param.sum() for param in self.params),
                params=self.params,
                override=self._settings(gradients, losses, is_decision=t == 0),
                grad_callback=lambda _, gradients=gradients: gradients,
            )
            history.append(losses)
        return torch.stack(history)

    def _settings(self, gradients, losses, is_decision):
        """Return the rates and directions of a step, one per tensor."""
        step = self.last.step + 1
        signal = observe(self.last.signal, step, losses)
        gradient = self._pack(gradients)
        buffers = accumulate(self._buffers(), gradient)
        direction = orthogonal_direction(self.layout, buffers.momentum, gradient)
        carry = self.last._replace(step=step, buffers=buffers, signal=signal)
        if is_decision:
            memory = decide(self.spec, self.weights, self.layout, carry, gradient, direction)
            carry = carry._replace(memory=memory)
        self.last = carry
        rates = carry.multiplier * rates_of(self.spec, carry.memory)
        return {"lr": list(rates.unbind(-1)), "direction": self.layout.unpack(direction)}

    def _pack(self, tensors):
        """Join tensors `[P, *shape]` to `[P, rows, width]`, as a differentiable `layout.pack`."""
        return self.layout.join([tensor.flatten(1) for tensor in tensors])

    def _buffers(self):
        moments = [[states[0][name] for states in self.diffopt.state] for name in MOMENTS]
        return Buffers(*map(self._pack, (self.params, *moments)))

    def carry(self) -> Carry:
        """Return the present carry, from which a later unroll can start."""
        carry = self.last._replace(buffers=self._buffers())
        return with_rates(self.spec, self.layout, carry)


class Unroll(Estimator):
    """Meta-gradients by backpropagation. Arguments as in `metalearn.estimator.Estimator`.

    Without perturbations both particles of a pair would be equal, so one is unrolled and copied to
    the other.
    """

    def estimate(self, theta: torch.Tensor) -> Estimate:
        """Return the meta-gradient, without particles whose gradient is not finite."""
        problem, pairs = self.problem, self.problem.pairs
        # One copy per particle, so that a gradient that is not finite affects no other.
        own = theta.detach().to(self.mask.device).expand(pairs, -1).clone().requires_grad_()
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
        """Advance the particles by a truncation; return their mean training loss `[pairs]`, in
        units of the gap. `own` are common weights `[n]`, or one set per particle `[pairs, n]`."""
        problem, pairs = self.problem, self.problem.pairs
        spec, rollout = problem.spec, problem.rollout
        half = mapped(lambda tensor: tensor[:pairs].clone(), problem.particles)
        episode = half.episode
        weights = unflatten(spec, own.expand(pairs, -1))
        run = LearnedUnroll(rollout.task, spec, rollout.layout, half.carry, weights, episode.which)
        total = torch.zeros(pairs, device=episode.target.device)
        for _ in range(problem.chunks):
            active = ~half.finished()
            losses = run.advance(problem.indices()[:, :pairs])
            gap = (run.last.signal.first - episode.target).detach().abs().clamp(min=1e-6)
            total = total + torch.where(active, losses.sum(0) / gap, torch.zeros_like(gap))
            carry = mapped(torch.Tensor.detach, run.carry())
            half = rollout.scored(half, carry, len(losses))
        overwrite(problem.particles, [torch.cat([t, t]) for t in leaves(half)])
        return total / (problem.chunks * spec.stride)
