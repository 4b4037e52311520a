"""The settings of a meta-training run."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tasks import TRAINING_FAMILIES

LARGEST_SEED = 10**6 - 1  # seeds derived from it must fit into 64 bits


class ConfigError(ValueError):
    """A setting or a run folder is unusable."""


def check_drawn(families: Sequence[str], shortest: int, longest: int, seed: int) -> None:
    """Raise ConfigError if no variants or episodes can be drawn with these settings."""
    unknown = sorted(set(families) - set(TRAINING_FAMILIES))
    if unknown or not families:
        known = ", ".join(TRAINING_FAMILIES)
        raise ConfigError(f"families: {', '.join(unknown) or 'none given'}; known are {known}")
    if not 1 <= shortest <= longest:
        raise ConfigError(f"shortest {shortest}, longest {longest}: need 1 <= shortest <= longest")
    if not 0 <= seed <= LARGEST_SEED:
        raise ConfigError(f"seed is {seed}: give 0 to {LARGEST_SEED}")


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a meta-training run. The defaults suit a first try on a CPU."""

    out: Path
    """Folder of the run, for checkpoints, log and policies. An unfinished run in it is resumed."""

    begin: str = ""
    """File of a policy to start from, such as another run's `policy.safetensors`. Its spec,
    including the base rate, is kept. Empty: a fresh policy."""

    families: tuple[str, ...] = ("mlp", "cnn", "rnn_lm", "transformer_lm", "residual_mlp")
    """Task families to train on. Each group of particles shares one architecture of a family."""

    groups: int = 2
    """Architectures drawn per family."""

    renew_every: int = 0
    """Outer steps until the next group gets a fresh architecture; groups take turns. 0: never."""

    variants: int = 8
    """Task variants per architecture. They differ in initial weights, scales and labels."""

    augment: bool = False
    """Also draw variants with noisy, clipped or rounded gradients, noisy tests, and other initial
    weights, input scales, losses and forms of images. Not available with backpropagation."""

    working_size: bool = False
    """Make every other architecture one of working size, with several kinds of initial weights,
    including small ones. Ten times as slow."""

    files: bool = False
    """Also draw from data sets that need files (Fashion-MNIST). The files must be present."""

    pairs: int = 8
    """Antithetic pairs of particles per group, over all processes. A multiple of the number of
    processes."""

    shortest: int = 50
    """Length of the shortest episode: inner steps that the baseline takes to the target."""

    longest: int = 600
    """Length of the longest episode, likewise. Lengths are drawn log-uniformly."""

    truncation: int = 40
    """Inner steps per meta-gradient. A multiple of the policy's stride, 5."""

    estimator: Literal["actions", "pes", "es", "unroll"] = "actions"
    """How meta-gradients are estimated: by noise in the log rates (actions), by noise in all
    weights (pes, es), or by backpropagation (unroll). es and unroll ignore what follows a
    truncation."""

    meta_loss: Literal["area", "time"] = "area"
    """What to minimise: the area under the curve of the distance to the target, or the time to the
    target."""

    warm_start: int = 0
    """Number of first outer steps that backpropagate through the unrolled training."""

    curriculum: int = 0
    """Outer steps over which the longest episode grows geometrically from shortest to longest."""

    linear: int = 0
    """Number of first outer steps that train only the linear path from features to rates. Its few
    weights are learned quickly, and the LSTM then starts from sound rates."""

    sigma: float = 0.03
    """Standard deviation of the noise in the policy's weights (pes, es)."""

    noise: float = 0.35
    """Standard deviation of the noise in the log rates (actions)."""

    trust: float = 0.1
    """Bound on the root mean square change of the log rates in one outer step (actions)."""

    steps: int = 60
    """Number of outer steps."""

    rate: float = 3e-3
    """Peak learning rate of the outer Adam."""

    warmup: int = 10
    """Outer steps of linear warm-up. Then the rate falls to a tenth of the peak along a cosine."""

    clip: float = 3.0
    """Bound on a group's meta-gradient norm, over the norm's running root mean square. It is meant
    for outliers. Below 1 it cuts most estimates made late in an episode, which are PES's largest.
    """

    checkpoint_every: int = 50
    """Outer steps between two checkpoints. The last two are kept."""

    evaluate_every: int = 50
    """Outer steps between two evaluations on fresh variants. The best policy is kept. 0: never."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Device of the inner training."""

    seed: int = 0
    """Seed of all variants, episodes, batches and perturbations, 0 to 999,999."""

    def check(self) -> None:
        """Raise ConfigError for a setting that makes no sense."""
        check_drawn(self.families, self.shortest, self.longest, self.seed)
        for name in ("groups", "variants", "pairs", "truncation", "steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: give at least 1")
        for name in ("warm_start", "curriculum", "evaluate_every", "renew_every", "linear"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: give 0 or more")
        if self.augment and (self.warm_start or self.estimator == "unroll"):
            raise ConfigError(
                "augment: what is done to gradients is not backpropagated through; give "
                "another --estimator, and --warm-start 0"
            )
        life = self.renew_every * len(self.families) * self.groups * self.truncation
        if 0 < life < self.longest:
            raise ConfigError(
                f"renew_every is {self.renew_every}: an architecture lives for {life} inner steps, "
                f"less than the longest episode, {self.longest}; give a larger one, or more groups"
            )
        for name in ("sigma", "noise", "trust", "rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}: give a positive number")

    def to_json(self) -> str:
        """Return the settings as sorted JSON text, without the folder, since a run may be moved."""
        settings = dataclasses.asdict(self)
        del settings["out"]
        return json.dumps(settings, sort_keys=True)

    def differences(self, text: str) -> list[str]:
        """Return the names of settings that differ from `text`, which `to_json` wrote.

        Settings that are missing in `text` are newer and have their defaults.
        """
        defaults = json.loads(Config(self.out).to_json())
        mine, other = json.loads(self.to_json()), {**defaults, **json.loads(text)}
        return sorted(k for k in mine.keys() | other.keys() if mine.get(k) != other.get(k))

    def longest_at(self, step: int) -> int:
        """Return the length of the longest episode to draw at an outer step, in inner steps."""
        if step >= self.curriculum:
            return self.longest
        return self.shortest * (self.longest / self.shortest) ** (step / self.curriculum)
