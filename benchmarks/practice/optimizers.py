"""The optimizers, and the grid of settings of each."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import _muon
from torch.utils._pytree import tree_leaves

from benchmarks.networks.kind import Kind
from evaluate.peers.common import cosine
from policy.optimizer import LearnedLR
from policy.statistics import kept_statistics, renew_statistics

DEFAULT = "default"  # the package's defaults
WARM_UP = 0.05  # share of the steps
#: Whether the processor multiplies matrices in bfloat16; if it only emulates it, Muon uses float32.
HAS_BFLOAT16 = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


class Trainer:
    """A common interface to torch optimizers.

    With `annealed_over`, a number of steps, rates have a linear warm-up and half a cosine down to
    zero.
    """

    def __init__(self, *optimizers: Any, annealed_over: int | None = None) -> None:
        self.optimizers, self.schedules = optimizers, []
        if annealed_over:
            warm_up = max(1, round(WARM_UP * annealed_over))
            self.schedules = [cosine(one, annealed_over, warm_up) for one in optimizers]

    def step(self, loss: Tensor) -> None:
        """Make a step from the gradients in the model."""
        for one in (*self.optimizers, *self.schedules):
            one.step()

    @contextlib.contextmanager
    def tested(self, model: nn.Module, recent: Sequence) -> Iterator[None]:
        """Put the resulting weights into the model, in evaluation mode.

        `recent` are batches to renew batch-norm statistics with, if the weights are not those that
        were trained.
        """
        model.eval()
        yield
        model.train()

    def state_bytes(self) -> int:
        """Return the bytes of all optimizer state tensors of more than one entry."""
        kept = tree_leaves([one.state_dict() for one in self.optimizers])
        return sum(t.nbytes for t in kept if isinstance(t, Tensor) and t.numel() > 1)


class ScheduleFree(Trainer):
    """Schedule-free optimizers; tests use their average."""

    @contextlib.contextmanager
    def tested(self, model: nn.Module, recent: Sequence) -> Iterator[None]:
        (optimizer,) = self.optimizers
        with kept_statistics(model) as renewable:
            optimizer.eval()
            model.eval()
            renew_statistics(model, renewable, recent, torch.device("cpu"))
            yield
        optimizer.train()
        model.train()


class Learned(Trainer):
    """LearnedLR, which also needs the loss."""

    def step(self, loss: Tensor) -> None:
        self.optimizers[0].step(loss)

    def tested(self, model: nn.Module, recent: Sequence) -> Any:
        return self.optimizers[0].averaged(model, recent)


class Muon(Trainer):
    """Muon on hidden matrices and filters, AdamW at the same rate on everything else."""

    def __init__(self, hidden: list, rest: list, rate: float, steps: int) -> None:
        self.hidden = hidden
        self.flat = [nn.Parameter(weight.detach().flatten(1)) for weight in hidden]
        inner = torch.optim.Muon(self.flat, rate, adjust_lr_fn="match_rms_adamw")
        super().__init__(inner, torch.optim.AdamW(rest, rate), annealed_over=steps)

    def step(self, loss: Tensor) -> None:
        for weight, flat in zip(self.hidden, self.flat, strict=True):
            flat.grad = weight.grad.flatten(1)
        with _newton_schulz():
            super().step(loss)


@contextlib.contextmanager
def _newton_schulz():
    """Return torch's own iteration, or the same in float32."""
    own = _muon._zeropower_via_newtonschulz
    _muon._zeropower_via_newtonschulz = own if HAS_BFLOAT16 else in_float32
    try:
        yield
    finally:
        _muon._zeropower_via_newtonschulz = own


def in_float32(gradient: Tensor, coefficients: Sequence[float], steps: int, eps: float) -> Tensor:
    """Return the gradient with singular values near one, by a quintic Newton-Schulz iteration."""
    a, b, c = coefficients
    is_tall = gradient.shape[0] > gradient.shape[1]
    x = gradient.T if is_tall else gradient
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x


def adamw(kind: Kind, steps: int, setting: str) -> Trainer:
    """Return AdamW with warm-up and a cosine schedule."""
    optimizer = torch.optim.AdamW(kind.model.parameters(), float(setting))
    return Trainer(optimizer, annealed_over=steps)


def muon(kind: Kind, steps: int, setting: str) -> Trainer:
    """Return torch's Muon with warm-up and a cosine schedule."""
    outer = {id(weight) for weight in kind.outer}
    hidden, rest = [], []
    for weight in kind.model.parameters():
        is_hidden = weight.dim() > 1 and id(weight) not in outer
        (hidden if is_hidden else rest).append(weight)
    return Muon(hidden, rest, float(setting), steps)


def schedule_free(kind: Kind, steps: int, setting: str) -> Trainer:
    """Return schedule-free AdamW with its package's defaults, or another rate and a warm-up."""
    from schedulefree import AdamWScheduleFree

    own = (
        {} if setting == DEFAULT else {"lr": float(setting), "warmup_steps": round(WARM_UP * steps)}
    )
    optimizer = AdamWScheduleFree(kind.model.parameters(), **own)
    optimizer.train()
    return ScheduleFree(optimizer)


def prodigy(kind: Kind, steps: int, setting: str) -> Trainer:
    """Return Prodigy with its package's defaults, or with warm-up and a cosine schedule."""
    from prodigyopt import Prodigy

    if setting == DEFAULT:
        return Trainer(Prodigy(kind.model.parameters()))
    return Trainer(Prodigy(kind.model.parameters(), safeguard_warmup=True), annealed_over=steps)


def soap(kind: Kind, steps: int, setting: str) -> Trainer:
    """Return SOAP with its package's defaults, or another rate with warm-up and a cosine."""
    from pytorch_optimizer import SOAP

    if setting == DEFAULT:
        return Trainer(SOAP(kind.model.parameters()))
    return Trainer(SOAP(kind.model.parameters(), float(setting)), annealed_over=steps)


def learned(kind: Kind, steps: int, setting: str) -> Trainer:
    """Return LearnedLR with its defaults."""
    return Learned(LearnedLR(kind.model.parameters()))


def annealed(kind: Kind, steps: int, setting: str) -> Trainer:
    """Return LearnedLR with the number of steps given."""
    return Learned(LearnedLR(kind.model.parameters(), total_steps=steps))


class Optimizer(NamedTuple):
    """An optimizer's name in tables, `make(kind, steps, setting)`, and settings, default first."""

    name: str
    make: Callable[[Kind, int, str], Trainer]
    grid: tuple[str, ...] = (DEFAULT,)


OPTIMIZERS = {
    "learned": Optimizer("LearnedLR", learned),
    "annealed": Optimizer("LearnedLR, `total_steps` given", annealed),
    "adamw": Optimizer("AdamW, cosine", adamw, ("1e-3", "3e-4", "3e-3", "1e-2", "3e-2")),
    "muon": Optimizer("Muon, cosine", muon, ("0.01", "0.003", "0.03")),
    "schedule_free": Optimizer("schedule-free AdamW", schedule_free, (DEFAULT, "1e-2", "1e-3")),
    "prodigy": Optimizer("Prodigy", prodigy, (DEFAULT, "cosine")),
    "soap": Optimizer("SOAP", soap, (DEFAULT, "3e-3", "1e-2")),
}
