"""The outer loop: estimate, update, log, save. An interrupted run resumes at its checkpoint."""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from metalearn import checkpoint
from metalearn.actions import Actions
from metalearn.config import Config, ConfigError
from metalearn.episodes import Pool, build_pool
from metalearn.evaluation import COMPARISON, Best, Evaluation
from metalearn.inner import InnerProblem
from metalearn.outer import Outer
from metalearn.pes import PES, TruncatedES
from metalearn.prior import policy_to_begin_with
from metalearn.shard import Shard
from metalearn.unroll import Unroll
from policy.checkpoint import Policy, save_policy
from policy.rule.spec import Spec
from policy.rule.weights import flatten, linear_path, unflatten

CHECKPOINTS = "checkpoints"  # folder within the run's
ESTIMATORS = {"actions": Actions, "pes": PES, "es": TruncatedES, "unroll": Unroll}


class Record(NamedTuple):
    """What one outer step did, over all processes. One line of the log."""

    step: int
    loss: list  # cost of the truncation per group, mean over particles
    norm: list  # norm of each group's meta-gradient
    ratio: float | None  # mean time over the baseline's, of ended episodes; None if none ended
    ended: int  # episodes
    diverged: int  # particles whose loss is no longer finite
    evaluated: float | None  # ratio of the averaged policy on fresh variants, if measured
    rate: float
    inner_steps: int
    seconds: float


class Start(NamedTuple):
    """Where a run starts or resumes."""

    spec: Spec
    initial: torch.Tensor  # weights [n] that the run started from
    checkpoint: checkpoint.Found | None


class Trainer:
    """Meta-trains one policy on one pool per group. `start` defaults to that of `find_start`."""

    def __init__(
        self, config: Config, pools: Sequence[Pool], shard: Shard, start: Start | None = None
    ):
        self.config, self.shard = config, shard
        start = start or find_start(config, shard)
        self.spec, self.initial = start.spec, start.initial
        self.outer = Outer(self.initial, len(pools), config)
        self.generators = [
            torch.Generator(pool.curve.device).manual_seed(config.seed * 1000 + g)
            for g, pool in enumerate(pools)
        ]
        self.estimators = [
            self._estimator(pool, generator)
            for pool, generator in zip(pools, self.generators, strict=True)
        ]
        self.best = Best(self.initial)
        if start.checkpoint:
            self._resume(start.checkpoint.outer, start.checkpoint.particles)
        self.evaluation = None
        if config.evaluate_every:
            device = pools[0].curve.device
            self.evaluation = Evaluation(config, self.spec, COMPARISON, device, shard)

    def _estimator(self, pool, generator):
        config = self.config
        problem = InnerProblem(
            pool,
            self.spec,
            config.pairs,
            config.truncation,
            self.shard,
            generator,
            config.longest_at(self.outer.step),
            config.meta_loss,
        )
        kind = ESTIMATORS[config.estimator]
        sigma = config.noise if kind is Actions else config.sigma
        return kind(problem, len(self.initial), sigma, self.shard, generator)

    def run(self, report: Callable[[Record], None]) -> None:
        """Make the remaining outer steps, and call `report` with the `Record` of each."""
        if self._is_done():  # the run may have stopped before it exported the policies
            self._export()
        while not self._is_done():
            report(self._step())
            self._renew(self.outer.step)
            if self.outer.step % self.config.checkpoint_every == 0 or self._is_done():
                self.save()

    def _is_done(self):
        return self.outer.step >= self.config.steps

    def _renew(self, step):
        """Give a fresh architecture to the group whose turn it is after this step."""
        every = self.config.renew_every
        if every and step % every == 0:
            turn, group = divmod(step // every - 1, len(self.estimators))
            f, g = divmod(group, self.config.groups)
            generator = self.generators[group]
            pool = build_pool(self.config, generator.device, self.config.seed, f, g, turn + 1)
            self.estimators[group] = self._estimator(pool, generator)

    def _repeat_renewals(self):
        """Give every group the architecture that it has at the present step."""
        last, steps = self.outer.step, self.config.renew_every * len(self.estimators)
        for step in range(max(last - steps, 0) + 1, last + 1):
            self._renew(step)

    def _step(self):
        begin = time.perf_counter()
        estimators = self._present_estimators()
        theta = self.outer.theta.detach().clone()
        estimates = [estimator.estimate(theta) for estimator in estimators]
        gradients = torch.stack([estimate.gradient for estimate in estimates])
        gradients = self.shard.sum(gradients).cpu() / self.shard.size
        is_bounded = isinstance(estimators[0], Actions)
        norms = self.outer.update(gradients, self._moved if is_bounded else None)
        *losses, total, count, diverged = self._totals(estimates)
        particles = self.shard.size * sum(estimate.losses.numel() for estimate in estimates)
        return Record(
            step=self.outer.step,
            loss=losses,
            norm=norms.tolist(),
            ratio=total / count if count else None,
            ended=int(count),
            diverged=int(diverged),
            rate=self.outer.rate(),
            inner_steps=self.config.truncation * particles,
            seconds=time.perf_counter() - begin,
            evaluated=self._evaluate(),
        )

    def _present_estimators(self):
        """Return one estimator per group. A warm start unrolls the same particles."""
        step, estimators = self.outer.step, self.estimators
        if step < self.config.warm_start:
            estimators = [
                Unroll(e.problem, len(e.mask), 0.0, e.shard, e.generator) for e in estimators
            ]
        is_linear = step < self.config.linear
        mask = linear_path(self.spec) if is_linear else torch.ones_like(self.initial)
        for estimator in estimators:
            estimator.problem.longest = self.config.longest_at(step)
            estimator.mask = mask.to(estimator.mask)
        return estimators

    def _moved(self, before, after):
        """Return the root mean square change of the policy's log rates, over all groups."""
        squares = [e.moved(before, after).double().cpu() for e in self.estimators]
        squares = torch.stack(squares).mean()
        return (self.shard.sum(squares) / self.shard.size).sqrt().item()

    def _evaluate(self):
        every = self.config.evaluate_every
        if not every or self.outer.step % every:
            return None
        ratio = self.evaluation.ratio(self.outer.average)
        self.best.offer(self.outer.average, ratio, self.outer.step)
        return ratio

    def _totals(self, estimates):
        """Return totals over all processes.

        Mean loss of each group, then the sum and number of the ratios of ended episodes, then the
        number of diverged particles.
        """
        problems = [estimator.problem for estimator in self.estimators]
        ended = torch.cat([problem.finished for problem in problems]).double()
        diverged = torch.stack([problem.diverged for problem in problems]).sum().to(ended)
        losses = [estimate.losses.double().mean() / self.shard.size for estimate in estimates]
        count = torch.full_like(losses[0], len(ended))
        return self.shard.sum(torch.stack([*losses, ended.sum(), count, diverged])).tolist()

    def save(self) -> None:
        """Write a checkpoint, and export the policies."""
        streams = {f"stream.{g}": gen.get_state() for g, gen in enumerate(self.generators)}
        checkpoint.save(
            self.config.out / CHECKPOINTS,
            self.outer.step,
            {"initial": self.initial, **self.outer.state(), **self.best.state(), **streams},
            [estimator.state() for estimator in self.estimators],
            self.config,
            self.shard,
            self.spec,
        )
        self._export()

    def _export(self):
        if self.shard.rank:
            return
        self._write_policy("initial", self.initial, 0)
        self._write_policy("policy", self.outer.average, self.outer.step)
        if self.best.ratio < math.inf:
            self._write_policy("best", self.best.theta, self.best.step)

    def _write_policy(self, name, theta, step):
        policy = Policy(self.spec, unflatten(self.spec, theta))
        extra = {"config": self.config.to_json(), "outer_step": str(step)}
        save_policy(self.config.out / f"{name}.safetensors", policy, extra)

    def _resume(self, outer, particles):
        self.outer.restore(outer)
        self._repeat_renewals()
        self.best.restore(outer)
        for g, generator in enumerate(self.generators):
            generator.set_state(outer[f"stream.{g}"])
        for estimator, tensors in zip(self.estimators, particles, strict=True):
            estimator.restore(tensors)


def find_start(config: Config, shard: Shard) -> Start:
    """Return where a run starts: at its newest checkpoint, or at the initial policy.

    The checkpoint also holds the initial policy, since the file `begin` may have changed. Raises
    ConfigError if sizes are inconsistent or the folder holds another run, CheckpointError as
    `metalearn.checkpoint.load_latest` does, and PolicyError if the initial policy is unsound.
    """
    found = checkpoint.load_latest(config.out / CHECKPOINTS, shard, config.device)
    if found:
        if changed := config.differences(found.manifest["config"]):
            raise ConfigError(
                f"{config.out} holds a run with other settings ({', '.join(changed)}): "
                "repeat its settings to go on, or give another --out, and --begin with its policy"
            )
        start = Start(Spec(**found.manifest["spec"]), found.outer["initial"], found)
    else:
        policy = policy_to_begin_with(config.begin, config.seed)
        start = Start(policy.spec, flatten(*policy), None)
    _check_sizes(config, start.spec, shard)
    return start


def check_start(config: Config, shard: Shard) -> None:
    """Raise ConfigError or PolicyError if a new run can't start, before its folder is made."""
    if not config.out.exists():
        _check_sizes(config, policy_to_begin_with(config.begin, config.seed).spec, shard)


def _check_sizes(config, spec, shard):
    if config.truncation % spec.stride:
        raise ConfigError(f"truncation {config.truncation}: give a multiple of {spec.stride}")
    if config.pairs % shard.size:
        raise ConfigError(
            f"pairs {config.pairs} don't divide among {shard.size} processes: give a multiple"
        )
