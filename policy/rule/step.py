"""One step of the learned optimizer: gradient and loss in, new weights out.

``learned_step`` is pure and can be differentiated. ``learned_step_`` overwrites the buffers and
makes few passes over memory; the submission, LearnedLR and evolution strategies use it. The
arithmetic is the same. Both take leading batch axes ``*lead``.
"""

from typing import NamedTuple

import torch

from policy.rule.controller import Memory, decide, rates_of, start_memory
from policy.rule.layout import Layout
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.signal import Signal, observe, start_signal
from policy.rule.update import (
    Buffers,
    accumulate,
    accumulate_,
    advance,
    advance_,
    start_buffers,
)


class Carry(NamedTuple):
    """Everything that the learned optimizer keeps from one step to the next."""

    step: torch.Tensor  # [*lead], steps made
    buffers: Buffers
    signal: Signal
    memory: Memory
    multiplier: torch.Tensor  # factor on the rates: [*lead, tensors], or a number
    rates: torch.Tensor  # [*lead, rows, 1], those of the memory times the multiplier


def start_carry(spec, layout: Layout, weight):
    """Return the carry at step 0 for initial weights ``[*lead, rows, width]``, not copied."""
    step = weight.new_zeros(tuple(weight.shape[:-2]))
    memory = start_memory(spec, layout, weight)
    start = Carry(
        step, start_buffers(weight), start_signal(step), memory, torch.ones_like(memory.unit), None
    )
    return with_rates(spec, layout, start)


def learned_step(spec, weights, layout, carry, gradient, loss, is_decision):
    """Return the carry after one step; ``carry`` is unchanged.

    Args:
        weights: the policy's, name -> ``[*lead, *shape]``.
        gradient: ``[*lead, rows, width]``; ``loss``: ``[*lead]``, counted from zero or its lower
            bound.
        is_decision: whether the controller decides at this step: the first one, then every
            ``spec.stride`` steps. The caller counts, so nothing is read back from the device.
    """
    arguments = (spec, weights, layout, carry, gradient, loss, is_decision)
    return _step(accumulate, orthogonal_direction, advance, *arguments)


def learned_step_(
    spec, weights, layout, carry, gradient, loss, is_decision, direct=orthogonal_direction
):
    """Return the carry after one step; the matrices of ``carry`` are overwritten. Arguments above.

    ``direct`` gives the direction from layout, momentum and gradient.
    """
    arguments = (spec, weights, layout, carry, gradient, loss, is_decision)
    return _step(accumulate_, direct, advance_, *arguments)


def _step(gather, direct, move, spec, weights, layout, carry, gradient, loss, is_decision):
    step = carry.step + 1
    signal = observe(carry.signal, step, loss)
    buffers = gather(carry.buffers, gradient)
    direction = direct(layout, buffers.momentum, gradient)
    carry = carry._replace(step=step, buffers=buffers, signal=signal)
    if is_decision:
        memory = decide(spec, weights, layout, carry, gradient, direction)
        carry = with_rates(spec, layout, carry._replace(memory=memory))
    return carry._replace(buffers=move(buffers, step, carry.rates, direction))


def with_rates(spec, layout, carry):
    """Return the carry with the rates of each row, from its memory and multiplier."""
    rates = carry.multiplier * rates_of(spec, carry.memory)
    return carry._replace(rates=layout.per_row(rates))
