"""All settings of a meta-training run, in one typed and printable place."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tasks import TRAINING_FAMILIES

LARGEST_SEED = 10**6 - 1  # other seeds are multiples of it, which have to fit into 64 bits


class ConfigError(ValueError):
    """A setting, or a run folder, that meta-training can't use."""


def check_drawn(families: Sequence[str], shortest: int, longest: int, seed: int) -> None:
    """Raise ConfigError where no variants or episodes can be drawn with these settings."""
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
    """Settings of a meta-training run; the defaults are for a first try on a CPU."""

    out: Path
    """Folder of the run: checkpoints, log, final policy. An unfinished run in it is resumed."""

    begin: str = ""
    """File of a policy to go on from, `policy.safetensors` of another run; else a fresh one.
    Its base rate, and whatever else its spec says, are kept."""

    families: tuple[str, ...] = ("mlp", "cnn", "rnn_lm", "transformer_lm", "residual_mlp")
    """Task families to train on; each group of particles shares one architecture of a family."""

    groups: int = 2
    """Architectures drawn per family."""

    renew_every: int = 0
    """Outer steps between two architectures that are replaced by fresh ones, the groups taking
    turns. 0: never."""

    variants: int = 8
    """Task variants per architecture: initial weights, scales, labels."""

    augment: bool = False
    """Draw variants also with noisy, clipped or rounded gradients, noisy tests, other initial
    weights, scales of the input, losses and forms of images. Not for backpropagation."""

    working_size: bool = False
    """Every other architecture is of working size, with initial weights of several kinds, also
    small ones. Ten times as slow."""

    files: bool = False
    """Draw data also from data sets that need files, Fashion-MNIST: they must be there."""

    pairs: int = 8
    """Antithetic pairs of particles per group, over all processes: a multiple of their number."""

    shortest: int = 50
    """Shortest episode: inner steps that the baseline needs to the target."""

    longest: int = 600
    """Longest episode, likewise; lengths are drawn log-uniformly."""

    truncation: int = 40
    """Inner steps per meta-gradient: a multiple of the policy's stride, 5."""

    estimator: Literal["actions", "pes", "es", "unroll"] = "actions"
    """Of the meta-gradient: noise in the log rates (actions); in all weights (pes; es, blind past a
    truncation); or backpropagation (unroll), blind likewise."""

    meta_loss: Literal["area", "time"] = "area"
    """What is minimised: the area under the curve of the distance to the target, or the time to it.
    """

    warm_start: int = 0
    """First outer steps whose meta-gradient is backpropagated through the unrolled training."""

    curriculum: int = 0
    """Outer steps in which the longest episode grows, geometrically, from shortest to longest."""

    linear: int = 0
    """First outer steps in which only the linear path from features to rates learns: its few
    weights are found soon, and the LSTM then starts from sound rates."""

    sigma: float = 0.03
    """Standard deviation of the perturbations of the policy's weights (pes, es)."""

    noise: float = 0.35
    """Standard deviation of the noise in the log rates (actions)."""

    trust: float = 0.1
    """Bound on the root mean square of the change of the log rates in one outer step (actions)."""

    steps: int = 60
    """Outer steps."""

    rate: float = 3e-3
    """Peak learning rate of the outer Adam."""

    warmup: int = 10
    """Outer steps of linear warm-up; a cosine to a tenth of the peak follows."""

    clip: float = 3.0
    """Bound on a group's meta-gradient norm, over its running root mean square. It is for
    outliers: below one, it cuts most estimates made late in an episode, PES's largest."""

    checkpoint_every: int = 50
    """Outer steps between two checkpoints; the last two are kept."""

    evaluate_every: int = 50
    """Outer steps between two evaluations on fresh variants; the best policy is kept. 0: never."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the inner training runs."""

    seed: int = 0
    """Of everything random: variants, episodes, batches, perturbations. 0 to 999,999."""

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
        """The settings as JSON text, sorted, without the folder (a run may be moved)."""
        settings = dataclasses.asdict(self)
        del settings["out"]
        return json.dumps(settings, sort_keys=True)

    def differences(self, text: str) -> list[str]:
        """Return the names of settings that differ from those that `to_json` wrote; one that did
        not exist then had its default."""
        defaults = json.loads(Config(self.out).to_json())
        mine, other = json.loads(self.to_json()), {**defaults, **json.loads(text)}
        return sorted(k for k in mine.keys() | other.keys() if mine.get(k) != other.get(k))

    def longest_at(self, step: int) -> int:
        """Longest episode to draw at an outer step, in inner steps."""
        if step >= self.curriculum:
            return self.longest
        return self.shortest * (self.longest / self.shortest) ** (step / self.curriculum)
