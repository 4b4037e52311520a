"""The learned controller as a ``torch.optim.Optimizer``, for your own training loop.

``learned_lr.py`` is made of this module; the exported ``train.py`` is not, since its driver also
decides when to test. Both make the same steps.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist

from policy.blocks import AUTO, CHEAP_BLOCK, TIMED_STEPS, UpdateTimer
from policy.loading import Policy, check_policy, digest, load_policy
from policy.refusals import (
    check_count,
    check_decays,
    check_groups,
    check_loss,
    check_model,
    check_multipliers,
    check_parameters,
    check_state,
)
from policy.rule.copies import copy_each
from policy.rule.stepper import Stepper
from policy.rule.units import natural_units
from policy.shipped import shipped_policy
from policy.statistics import kept_statistics, renew_statistics

HELD = torch.float32, torch.float16, torch.bfloat16  # float32 holds all of their values
TRAINED = 0.5  # units of trained matrices, over those of initial weights of the same shape

Method = TypeVar("Method", bound=Callable[..., Any])


def _eager(method: Method) -> Method:
    """Run a method without gradients, and uncompiled inside compiled functions.

    Lightning's wrapper inherits the methods, but would keep for itself what they set: they run on
    the optimizer that it wraps.
    """

    @functools.wraps(method)
    def on_itself(self, *args, **kwargs):
        return method(getattr(self, "_optimizer", self), *args, **kwargs)

    return torch.compiler.disable(torch.no_grad()(on_itself))


class LearnedLR(torch.optim.Optimizer):
    """An optimizer whose learning rates are set by a meta-trained policy, per tensor, as it trains.

    There is no learning rate and no schedule to choose. A step goes along the momentum, which is
    orthogonalised for matrices and filters, and normalised for vectors. ::

        optimizer = LearnedLR(model.parameters())
        for x, y in batches:
            loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(loss)
        with optimizer.averaged(model, batches):
            ...  # test or save the model

    The result of training is the running average of the weights; the live weights are noisier. So
    test and save the model inside ``averaged``, or between ``optimizer.eval()`` and
    ``optimizer.train()``.

    To fine-tune a trained network, give ``trained=True``: otherwise its first steps are too long.
    If the optimizer's state was saved, load that instead. LearnedLR notices weights that are loaded
    into the model, but in the middle of a run the average follows slowly: make a new LearnedLR.

    Memory: three float32 values per parameter (weight, momentum, average). Under
    ``torch.distributed`` the loss is averaged over processes, so that all decide alike. With
    ``torch.amp.GradScaler``, call ``scaler.step(optimizer, loss)`` with the unscaled loss.
    ``torch.compile`` does not compile its methods.

    Args:
        params: tensors, or parameter groups. A group's ``lr`` multiplies its learned rates.
        lr: default multiplier of a group; schedulers may change it.
        floor: about the lowest value of the loss; zero suits cross-entropies and squared errors.
            One that is far too low is worse than zero.
        policy: path of a policy file (needs safetensors), or a policy; the shipped one by default.
        block: largest number of rows or columns that are orthogonalised together, along the
            narrower side of matrices and filters; None for whole ones. By default, on a CPU, the
            first three steps decide: 128 if updates take longer than what is between them, the
            forward and backward passes; otherwise None, as always on an accelerator or with
            torch's deterministic algorithms.
        trained: whether the weights are those of a trained network.
        total_steps: steps of the whole run, if known. Towards its end the rates then fall, the more
            so the more the loss of the live weights exceeds that of their average. Give it again
            when a run is resumed.
        weight_decay: default of a group, against memorising little data. It is decoupled, as in
            AdamW (Loshchilov & Hutter 2019): each step first multiplies the weights by one minus
            ``weight_decay`` times their learned rate over its natural unit.

    Raises:
        ValueError: for no parameters, parameters on several devices, complex parameters, shards of
            FSDP, a multiplier or weight decay that is negative or not finite, a floor that is not
            finite, ``block`` or ``total_steps`` below one, or a setting of another optimizer.
        PolicyError: for a policy file that can't be used.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Any]],
        lr: float | torch.Tensor = 1.0,
        *,
        floor: float = 0.0,
        policy: Policy | str | os.PathLike[str] | None = None,
        block: int | Literal["auto"] | None = "auto",
        trained: bool = False,
        total_steps: int | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        if policy is None:
            policy = shipped_policy()
        elif not isinstance(policy, Policy):
            policy = load_policy(policy)
        check_policy(policy, "policy")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        theirs = set(vars(self))
        self._parameters = [p for group in self.param_groups for p in group["params"]]
        check_parameters(self._parameters)
        check_groups(self.param_groups)
        if not math.isfinite(floor):
            raise ValueError(f"floor={floor}: give a number that the loss can't fall below")
        check_count("total_steps", total_steps)
        if block != AUTO:
            check_count("block", block, f"a number of rows from 1 on, {AUTO!r} or None")
        self._total_steps = total_steps
        self._policy, self._trained = digest(policy), trained
        self._stepper = Stepper(policy.spec, policy.weights, self._parameters)
        device = self._parameters[0].device
        self._is_automatic = block == AUTO
        self._timer = UpdateTimer()
        is_narrow = max(self._stepper.layout.alike, default=0) <= CHEAP_BLOCK
        may_time = device.type == "cpu" and not torch.are_deterministic_algorithms_enabled()
        self._divide(None if block == AUTO and (is_narrow or not may_time) else block)
        self._floor = torch.tensor(float(floor), dtype=torch.float32, device=device)
        self._loss = torch.full_like(self._floor, math.nan)  # the last that was finite
        self._factors = None  # multipliers that the stepper has
        self._observed = []
        self._averaged = False
        self._stepper.start(
            self._stepper.layout.pack(self._parameters), torch.zeros_like(self._floor)
        )
        self._stepper.remember(unit=self._units())
        self._scale_rates()
        self._ours = set(vars(self)) - theirs | {"_ours"}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Raise ValueError: all parameters are given when LearnedLR is constructed."""
        if hasattr(self, "_stepper"):
            raise ValueError("LearnedLR takes all its parameters at its construction")
        super().add_param_group(param_group)

    @property
    def _steps(self):
        return int(self._stepper.carry.step)

    @_eager
    def step(
        self,
        loss: float | torch.Tensor | Callable[[], float | torch.Tensor] | None = None,
        *,
        closure: Callable[[], float | torch.Tensor] | None = None,
    ) -> float | torch.Tensor | None:
        """Make one step from the gradients in ``.grad``, and return the loss.

        A parameter without a gradient does not move; none moves before the first finite loss.

        Args:
            loss: the loss that the gradients belong to, a number or a tensor of one entry; or a
                closure that computes the gradients and returns the loss. By default the loss that
                ``observe`` was given.
            closure: the closure, under the name that torch's optimizers use; called once.

        Raises:
            RuntimeError: in evaluation mode, after the model has moved to another device, or inside
                a CUDA graph.
            TypeError: without a loss, or for one that is no number.
            ValueError: for a loss of several entries, or an ``lr`` that is negative or not finite.
        """
        if self._averaged:
            raise RuntimeError("the model holds averaged weights: call optimizer.train() first")
        if self._floor.is_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError("LearnedLR decides on the host: record the model, not its step")
        loss = self._given(loss if closure is None else closure)
        shared = self._shared(loss)
        if not self._steps and not torch.isfinite(shared):  # the unit of all losses to come
            warnings.warn(f"no step before a finite loss: it is {float(shared)}", stacklevel=3)
            return loss
        if all(parameter.grad is None for parameter in self._parameters):
            warnings.warn("no parameter has a gradient: were the model's replaced?", stacklevel=3)
        with _full_precision(self._floor.device):
            if self._block == AUTO:
                self._timed_move(shared)
            else:
                self._move(shared)
        return loss

    @_eager
    def observe(self, loss: float | torch.Tensor) -> None:
        """Record the loss of a backward pass, for a framework that calls ``step()`` without one.

        ``step`` uses the mean of all losses since the last step, as accumulated gradients need it.
        In evaluation mode nothing is recorded. Raises ValueError for a loss of several entries.
        """
        if not self._averaged:
            self._observed.append(self._scalar(loss))

    def _given(self, loss):
        """Return the loss given, by a closure or by ``observe``; raise TypeError without one."""
        if callable(loss):
            with torch.enable_grad():
                loss = loss()
        observed, self._observed = self._observed, []
        if loss is None and observed:
            loss = torch.stack(observed).mean()
        if loss is None:
            raise TypeError(
                "LearnedLR.step needs the loss that the gradients belong to: step(loss), a closure "
                "that returns it, or observe(loss) before"
            )
        return loss

    def _move(self, loss):
        self._take_up_changes()
        self._scale_rates()
        self._decay_weights()
        gradient = self._stepper.layout.pack([_gradient_of(p) for p in self._parameters])
        self._stepper.move(gradient, loss - self._floor)
        self._show(self._stepper.live)

    def _decay_weights(self):
        """Shrink the weights that have a gradient, by their group's weight decay."""
        groups = [(group.get("weight_decay", 0.0), group["params"]) for group in self.param_groups]
        if not any(decay for decay, _ in groups):
            return
        check_decays([decay for decay, _ in groups])
        decays = [decay * (p.grad is not None) for decay, params in groups for p in params]
        layout, carry = self._stepper.layout, self._stepper.carry
        shares = layout.per_row(self._floor.new_tensor(decays) / carry.memory.unit)
        carry.buffers.weight.addcmul_(carry.buffers.weight, shares * carry.rates, value=-1)

    def _timed_move(self, loss):
        """Move and time it; the last of the timed moves decides on blocks."""
        self._timer.begin()
        self._move(loss)
        self._timer.end()
        if self._steps >= TIMED_STEPS:
            self._divide(CHEAP_BLOCK if self._is_update_longer() else None)

    def _divide(self, block):
        """Orthogonalise matrices in blocks; whole for None, and until it is decided."""
        self._block = block
        self._stepper.layout.divide(math.inf if block in (AUTO, None) else block)

    def _is_update_longer(self):
        """Return whether updates take longer than gradients, on any process: all must agree."""
        is_longer = self._floor.new_tensor(float(self._timer.is_update_longer()))
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(is_longer)
        return bool(is_longer)

    @contextlib.contextmanager
    def averaged(
        self,
        model: torch.nn.Module,
        batches: Iterable[Any] | None = None,
        forward: Callable[[Any], Any] | None = None,
    ) -> Iterator[None]:
        """Put the averaged weights into the model, in evaluation mode, for the ``with`` block.

        Running statistics of batch norm belong to the live weights, so forward passes over
        ``batches`` renew them. Batch norm whose statistics are frozen, that is in evaluation mode
        while the model trains, keeps them. After the block, weights, statistics and modes are as
        before. Raises ValueError for another model, and for batch norm without batches.

        Args:
            model: the model, whose parameters are the optimizer's.
            batches: inputs, or tuples that begin with one, as
                ``torch.optim.swa_utils.update_bn`` takes them. Some dozens of training batches
                suffice: ``itertools.islice(loader, 50)``. Only needed with batch norm.
            forward: passes a batch through a model of other inputs, on the model's device:
                ``lambda batch: model(**batch)``.
        """
        check_model(model, self._parameters)
        was_averaged = self._averaged
        with kept_statistics(model) as renewable:
            try:
                self.eval()
                model.eval()
                renew_statistics(model, renewable, batches, self._floor.device, forward)
                yield
            finally:
                if not was_averaged:
                    self.train()

    @_eager
    def train(self) -> None:
        """Put the live weights into the model, to continue training."""
        if self._averaged:
            self._take_up_changes()
            self._show(self._stepper.live)
            self._averaged = False

    @_eager
    def eval(self) -> None:
        """Put the averaged weights into the model, to test or save it.

        Batch-norm statistics still belong to the live weights: use ``averaged``, which renews them,
        or ``torch.optim.swa_utils.update_bn`` after this.
        """
        if not self._averaged:
            self._take_up_changes()
            self._show(self._stepper.averaged)
            self._averaged = True

    @_eager
    def rates(self) -> list[float]:
        """Return the present learning rate of each parameter, times its group's ``lr``."""
        self._scale_rates()
        return self._stepper.rates()

    def state_dict(self) -> dict[str, Any]:
        """Return copies, on the CPU, of all that the next step depends on besides the model."""
        return {
            "param_groups": super().state_dict()["param_groups"],
            "carry": [_on_host(tensor) for tensor in self._tensors()],
            **self._identity(),
            "floor": _on_host(self._floor),
            "loss": _on_host(self._loss),
            "steps": self._steps,
            "averaged": self._averaged,
            "trained": self._trained,
        }

    def _identity(self):
        """Return what the optimizers that save and load a state must have in common."""
        return {
            "shapes": [tuple(shape) for shape in self._stepper.layout.shapes],
            "order": list(self._stepper.layout.order),
            "policy": self._policy,
            "block": self._block,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that ``state_dict`` returned, for the same shapes in the same order.

        The groups' ``lr`` and ``weight_decay``, ``floor`` and ``trained`` come from the state, and
        the blocks that were chosen; ``total_steps`` does not.
        Raises ValueError for a state that is damaged, or of other parameters, another policy,
        another ``block`` or another optimizer.
        """
        own = self._identity()
        if self._is_automatic:
            own["block"] = state_dict.get("block")
        check_state(state_dict, own, self._tensors())
        super().load_state_dict({"state": {}, "param_groups": state_dict["param_groups"]})
        for tensor, value in zip(self._tensors(), state_dict["carry"]):
            tensor.copy_(value)
        self._stepper.carry = self._stepper.carry._replace(step=float(state_dict["steps"]))
        self._divide(state_dict["block"])
        self._factors = None  # the rates follow from what was loaded
        self._scale_rates()
        self._floor.copy_(state_dict["floor"])
        # Not in place: after one step the last loss and the first one are the same tensor.
        self._loss = state_dict["loss"].to(self._floor, copy=True)
        self._observed = []
        self._averaged = state_dict["averaged"]
        self._trained = state_dict["trained"]

    def __getstate__(self):
        """Return all attributes, for copies and pickles; torch's own keeps only the groups."""
        return {**super().__getstate__(), **{name: getattr(self, name) for name in self._ours}}

    @torch.no_grad()
    def _show(self, tensors):
        pairs = zip(self._parameters, tensors)
        # Frozen parameters that float32 can't hold stay bit for bit.
        copy_each((p, value) for p, value in pairs if p.requires_grad or p.dtype in HELD)

    def _take_up_changes(self):
        """Copy weights that something else has changed, say a checkpoint that was loaded.

        The float32 copy of a parameter of lower precision is finer, so it stays while both agree.
        Before the first step the average follows at once, later from step to step.
        """
        device = self._parameters[0].device
        if device != self._floor.device:
            raise RuntimeError(
                f"the model is on {device}, LearnedLR was made when it was on "
                f"{self._floor.device}: make it after model.to(device)"
            )
        shown = self._stepper.averaged if self._averaged else self._stepper.live
        alike = []
        for parameter, seen, live in zip(self._parameters, shown, self._stepper.live):
            if parameter.dtype == live.dtype and not self._averaged:
                alike.append((live, parameter))
            else:
                is_ours = parameter == seen.to(parameter.dtype)
                live.copy_(torch.where(is_ours, live, parameter.to(live.dtype)))
        copy_each(alike)
        if not self._steps:
            self._stepper.carry.buffers.average.copy_(self._stepper.carry.buffers.weight)
            self._stepper.remember(unit=self._units())

    def _units(self):
        """Return the natural units of the present weights; those of trained matrices, which have
        grown, follow from the shape alone."""
        layout, weight = self._stepper.layout, self._stepper.carry.buffers.weight
        if not self._trained:
            return natural_units(layout, weight)
        zeros = weight.new_zeros(1).expand_as(weight)  # one number, not a second network
        units = natural_units(layout, zeros)
        return torch.where(layout.is_matrix, TRAINED * units, units)

    def _tensors(self):
        """Return the tensors of the carry that do not follow from others, in a fixed order."""
        carry = self._stepper.carry
        return [*carry.buffers, *carry.signal, *carry.memory]

    def _scale_rates(self):
        """Apply the groups' multipliers if they have changed, and the annealing if there is one."""
        # As numbers: a scheduler overwrites a tensor in place, so it always equals itself.
        factors = [float(group["lr"]) for group in self.param_groups for _ in group["params"]]
        if factors != self._factors:
            check_multipliers(factors)
            self._factors = factors
        elif self._total_steps is None:
            return
        multiplier = self._floor.new_tensor(factors) if len(set(factors)) > 1 else factors[0]
        self._stepper.scale(multiplier * self._annealing())

    def _annealing(self):
        """Return the factor on the rates towards the end of a run: smaller, the more the loss
        bounces."""
        if self._total_steps is None:
            return 1.0
        left = max(1.0 - self._steps / self._total_steps, 0.5 / self._total_steps)
        return torch.exp(math.log(left) * self._stepper.carry.memory.restraint)

    def _shared(self, loss):
        """Return the mean loss over processes, a float32 scalar; the previous one if it is not
        finite, since averages would keep that for ever."""
        loss = self._scalar(loss)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(loss)
            loss /= dist.get_world_size()
        self._loss = torch.where(torch.isfinite(loss), loss, self._loss)
        return self._loss

    def _scalar(self, loss):
        check_loss(loss)
        loss = torch.as_tensor(loss, dtype=torch.float32, device=self._floor.device).detach()
        if loss.numel() != 1:
            raise ValueError(f"the loss has shape {list(loss.shape)}: give its mean, a scalar")
        return loss.reshape(()).clone()


def _full_precision(device):
    """Turn off autocast, in case the step is made inside of the model's."""
    is_available = getattr(torch.amp, "is_autocast_available", {"cpu", "cuda"}.__contains__)
    if is_available(device.type):  # torch before 2.4 does not tell
        return torch.autocast(device.type, enabled=False)
    return contextlib.nullcontext()


def _on_host(tensor):
    return tensor.detach().to("cpu", copy=True)


def _gradient_of(parameter):
    if parameter.grad is None:
        return torch.zeros_like(parameter)
    return parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
