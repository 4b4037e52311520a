"""The outer optimizer: update the policy's weights from one meta-gradient per group."""

import math
from collections.abc import Callable

import torch

from metalearn.config import Config

ADAM = "step", "exp_avg", "exp_avg_sq"  # names of its state, which is created before the first step


class Outer:
    """Adam on the policy's weights, with warm-up and cosine decay, and averaged weights.

    The usual norm of a group is the running root mean square of its estimates' norms. An estimate
    is divided by its group's usual norm, or by the median group's if that is larger, so that groups
    with noisy estimates do not dominate. (If all norms were equal, many groups that gain little
    would outvote one that loses much.)

    An estimate is clipped at `clip` times its group's usual norm. In the running root mean square
    its norm is limited to OUTLIER times the usual one. Otherwise an outlier would suppress its
    group for many steps.
    """

    SQUARE_DECAY = 0.95
    OUTLIER = 3.0
    AVERAGE_DECAY = 0.98  # averages for longer than a set of architectures is kept

    def __init__(self, theta: torch.Tensor, groups: int, config: Config):
        self.config = config
        self.theta = torch.nn.Parameter(theta.clone())
        self.average = theta.clone()
        self.squares = torch.zeros(groups)  # running mean of squared norms, still biased
        self.step = 0
        self.adam = torch.optim.Adam([self.theta], lr=config.rate, betas=(0.9, 0.99))
        zeros = torch.zeros(()), torch.zeros_like(theta), torch.zeros_like(theta)
        self.adam.state[self.theta] = dict(zip(ADAM, zeros, strict=True))

    @torch.no_grad()
    def update(
        self, gradients: torch.Tensor, moved: Callable[..., float] | None = None
    ) -> torch.Tensor:
        """Make one step from `gradients` `[groups, n]`, and return their norms.

        Gradients that are not finite are left out. `moved(before, after)` returns how far new
        weights move the policy's outputs. A step that moves these by more than `config.trust` is
        shortened, since Adam bounds the change of each weight but not of the outputs.
        """
        self.step += 1
        norms = gradients.norm(dim=1)
        valid = torch.isfinite(norms)
        before = self._usual(self.step - 1)
        counted = torch.where(before > 0, torch.min(norms, self.OUTLIER * before), norms)
        squares = self.SQUARE_DECAY * self.squares + (1 - self.SQUARE_DECAY) * counted**2
        self.squares = torch.where(valid, squares, self.squares)
        usual = self._usual(self.step) + 1e-20
        bounded = (self.config.clip * usual / (norms + 1e-20)).clamp(max=1.0)
        scale = bounded / usual.clamp(min=usual.median())
        scaled = torch.where(valid[:, None], gradients * scale[:, None], torch.zeros(()))
        self.theta.grad = scaled.sum(0) / valid.sum().clamp(min=1)
        self.adam.param_groups[0]["lr"] = self.rate()
        before = self.theta.detach().clone()
        self.adam.step()
        if moved is not None:
            far = moved(before, self.theta.detach())
            self.theta.lerp_(before, max(1 - self.config.trust / max(far, 1e-20), 0.0))
        self.average.lerp_(self.theta, max(1 - self.AVERAGE_DECAY, 1 / self.step))
        return norms

    def _usual(self, steps):
        """Return each group's usual norm after `steps` steps; 0 before the first."""
        return (self.squares / (1 - self.SQUARE_DECAY ** max(steps, 1))).sqrt()

    def rate(self) -> float:
        """Return the learning rate of this step: linear warm-up, then a cosine to a tenth."""
        config = self.config
        if self.step < config.warmup:
            return config.rate * self.step / config.warmup
        progress = (self.step - config.warmup) / max(config.steps - config.warmup, 1)
        return config.rate * (0.55 + 0.45 * math.cos(math.pi * min(progress, 1.0)))

    def state(self) -> dict[str, torch.Tensor]:
        """Return all that the next step depends on, name -> tensor."""
        moments = self.adam.state[self.theta]
        return {
            "theta": self.theta.detach(),
            "average": self.average,
            "squares": self.squares,
            "step": torch.tensor(self.step),
            **{f"adam.{name}": moments[name] for name in ADAM},
        }

    @torch.no_grad()
    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `state` returned."""
        self.theta.copy_(state["theta"])
        self.average, self.squares = state["average"], state["squares"]
        self.step = int(state["step"])
        moments = self.adam.state[self.theta]
        for name in ADAM:
            moments[name].copy_(state[f"adam.{name}"])
