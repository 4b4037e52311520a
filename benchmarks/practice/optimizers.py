"""The optimizers, and the settings that each is tried with."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import _muon

from benchmarks.practice.workload import Batch, Workload
from policy.optimizer import LearnedLR
from policy.statistics import kept_statistics, renew_statistics

DEFAULT = "default"  # setting of a package
WARM_UP = 0.05  # of the steps
#: Whether the processor multiplies matrices in bfloat16; where it emulates them, Muon has float32.
HAS_BFLOAT16 = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())


class Trainer:
    """Steps of some torch optimizers with their schedules, the same interface for all."""

    def __init__(self, optimizers: Sequence, schedules: Sequence = ()) -> None:
        self.optimizers, self.schedules = optimizers, schedules

    def step(self, loss: Tensor) -> None:
        """Make a step from the gradients in the model."""
        for one in (*self.optimizers, *self.schedules):
            one.step()

    @contextlib.contextmanager
    def tested(self, model: nn.Module, recent: Sequence[Batch]) -> Iterator[None]:
        """The weights that are the result are in the model, in evaluation mode."""
        model.eval()
        yield
        model.train()

    def state_bytes(self) -> int:
        """Return the bytes of everything that the optimizers keep."""
        return sum(_bytes(one.state_dict()) for one in self.optimizers)


class ScheduleFree(Trainer):
    """Of the average that is tested, statistics of batch norm are renewed."""

    @contextlib.contextmanager
    def tested(self, model: nn.Module, recent: Sequence[Batch]) -> Iterator[None]:
        (optimizer,) = self.optimizers
        with kept_statistics(model) as renewable:
            optimizer.eval()
            model.eval()
            renew_statistics(model, renewable, recent, torch.device("cpu"))
            yield
        optimizer.train()
        model.train()


class Learned(Trainer):
    """LearnedLR, which is given the loss."""

    def step(self, loss: Tensor) -> None:
        self.optimizers[0].step(loss)

    def tested(self, model: nn.Module, recent: Sequence[Batch]) -> Any:
        return self.optimizers[0].averaged(model, recent)


class Muon(Trainer):
    """Muon on hidden matrices, filters being matrices, and AdamW at the same rate on all else."""

    def __init__(
        self, hidden: list[nn.Parameter], rest: list[nn.Parameter], rate: float, steps: int
    ) -> None:
        self.hidden = hidden
        self.flat = [nn.Parameter(weight.detach().flatten(1)) for weight in hidden]
        inner = torch.optim.Muon(self.flat, rate, adjust_lr_fn="match_rms_adamw")
        optimizers = inner, torch.optim.AdamW(rest, rate)
        super().__init__(optimizers, [cosine(one, steps) for one in optimizers])

    def step(self, loss: Tensor) -> None:
        for weight, flat in zip(self.hidden, self.flat, strict=True):
            flat.grad = weight.grad.flatten(1)
        with _newton_schulz():
            super().step(loss)


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a linear warm-up over 5 % of the steps, then half a cosine down to zero."""
    warm_up = max(1, round(WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


@contextlib.contextmanager
def _newton_schulz():
    """Torch's own iteration, or the same in float32."""
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


def _bytes(kept: Any) -> int:
    """Bytes of all tensors of more than one entry in a state."""
    if isinstance(kept, Tensor):
        return kept.nbytes if kept.numel() > 1 else 0
    if isinstance(kept, dict):
        return _bytes(list(kept.values()))
    return sum(map(_bytes, kept)) if isinstance(kept, list | tuple) else 0


def adamw(workload: Workload, steps: int, setting: str) -> Trainer:
    """AdamW with warm-up and a cosine."""
    optimizer = torch.optim.AdamW(workload.model.parameters(), float(setting))
    return Trainer([optimizer], [cosine(optimizer, steps)])


def muon(workload: Workload, steps: int, setting: str) -> Trainer:
    """Torch's Muon with warm-up and a cosine."""
    outer = {id(weight) for weight in workload.outer}
    weights = list(workload.model.parameters())
    hidden = [w for w in weights if w.dim() > 1 and id(w) not in outer]
    kept = {id(weight) for weight in hidden}
    rest = [w for w in weights if id(w) not in kept]
    return Muon(hidden, rest, float(setting), steps)


def schedule_free(workload: Workload, steps: int, setting: str) -> Trainer:
    """Schedule-free AdamW with its package's defaults, or another rate and a warm-up."""
    from schedulefree import AdamWScheduleFree

    weights = workload.model.parameters()
    if setting == DEFAULT:
        optimizer = AdamWScheduleFree(weights)
    else:
        optimizer = AdamWScheduleFree(weights, float(setting), warmup_steps=round(WARM_UP * steps))
    optimizer.train()
    return ScheduleFree([optimizer])


def prodigy(workload: Workload, steps: int, setting: str) -> Trainer:
    """Prodigy with its package's defaults, or with warm-up and a cosine."""
    from prodigyopt import Prodigy

    if setting == DEFAULT:
        return Trainer([Prodigy(workload.model.parameters())])
    optimizer = Prodigy(workload.model.parameters(), safeguard_warmup=True)
    return Trainer([optimizer], [cosine(optimizer, steps)])


def soap(workload: Workload, steps: int, setting: str) -> Trainer:
    """SOAP with its package's defaults, or another rate with warm-up and a cosine."""
    from pytorch_optimizer import SOAP

    if setting == DEFAULT:
        return Trainer([SOAP(workload.model.parameters())])
    optimizer = SOAP(workload.model.parameters(), float(setting))
    return Trainer([optimizer], [cosine(optimizer, steps)])


def learned(workload: Workload, steps: int, setting: str) -> Trainer:
    """LearnedLR with its defaults."""
    return Learned([LearnedLR(workload.model.parameters())])


def annealed(workload: Workload, steps: int, setting: str) -> Trainer:
    """LearnedLR that is told the number of steps."""
    return Learned([LearnedLR(workload.model.parameters(), total_steps=steps)])


class Optimizer(NamedTuple):
    """Its name in tables; `make(workload, steps, setting)`; the settings, the default first."""

    name: str
    make: Callable[[Workload, int, str], Trainer]
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
