"""Meta-gradients by truncated backpropagation through the inner steps, on the library `higher`.

The meta-loss is the training loss along the way, in units of the gap between the first loss and the
target: it can be differentiated, as the challenge's score cannot. The gradient has little variance,
but knows nothing of what follows the truncation (Wu et al. 2018), so it serves as a warm start.

Learning rates reach the optimizer by `diffopt.step(..., override={"lr": [...]})`, one parameter
group and one rate per tensor. All particles are unrolled at once: a leading axis P is one of the
tensors' own, and rates broadcast over the rest. Memory grows with the number of steps.
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

MOMENTS = Buffers._fields[1:]  # what the optimizer keeps of a tensor besides its step


class LearnedRule(torch.optim.Optimizer):
    """The policy's update (`policy.rule.update`) in torch's terms, so that `higher` takes it.

    Tensors are `[P, *shape]`, `lr` is `[P]`; `direction` is that of `policy.rule.orthogonal`. Its
    state is MOMENTS and `step` `[P]`. Only the differentiable counterpart makes steps.
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
    """`[P, *shape]` -> `[P, 1, n]`: one row, so that `policy.rule.update` takes it."""
    return tensor.reshape(len(tensor), 1, -1)


class LearnedUnroll:
    """Unrolls P particles of a task with a policy, from where their carry stands; gradients flow to
    its weights, name -> `[P, *shape]`."""

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
        """Make steps on the samples `[stride, P, batch]`; return training losses `[stride, P]`."""
        history = []
        for t, index in enumerate(indices):
            losses = self.task.loss(self.params, self.which, self.task.batch(self.which, index))
            gradients = torch.autograd.grad(losses.sum(), self.params, create_graph=True)
            # The controller sees the gradient first; the callback spares differentiating twice.
            self.params = self.diffopt.step(
                sum(param.sum() for param in self.params),
                params=self.params,
                override=self._settings(gradients, losses, is_decision=t == 0),
                grad_callback=lambda _, gradients=gradients: gradients,
            )
            history.append(losses)
        return torch.stack(history)

    def _settings(self, gradients, losses, is_decision):
        """The rates and directions of a step, one for each tensor."""
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
        """As `layout.pack`, but differentiable: `[P, *shape]` each -> `[P, rows, width]`."""
        return self.layout.join([tensor.flatten(1) for tensor in tensors])

    def _buffers(self):
        moments = [[states[0][name] for states in self.diffopt.state] for name in MOMENTS]
        return Buffers(*map(self._pack, (self.params, *moments)))

    def carry(self) -> Carry:
        """Return the carry where the unroll stands, for a later one to go on from."""
        carry = self.last._replace(buffers=self._buffers())
        return with_rates(self.spec, self.layout, carry)


class Unroll(Estimator):
    """Meta-gradients by backpropagation; arguments as of `metalearn.estimator.Estimator`.

    Nothing is perturbed, so both particles of a pair would do the same: one is unrolled, and the
    other made its equal.
    """

    def estimate(self, theta: torch.Tensor) -> Estimate:
        """Return the meta-gradient; particles without a finite one are left out."""
        problem, pairs = self.problem, self.problem.pairs
        # A copy per particle: one without a finite gradient must not spoil the others'.
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
        """Return the mean training loss of one truncation, in units of the gap, `[pairs]`, with
        weights `[n]` or each particle's `[pairs, n]`; advances the particles."""
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
