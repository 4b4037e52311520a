"""`python -m metalearn.calibrate POLICY --out FOLDER`: how high rates may be on real networks.

Meta-training on small networks finds the course of the rates; how high they may be on larger ones
it cannot know. So the height, a linear function of what the controller sees that is added to the
log rates of all three directions, is tuned here by antithetic evolution strategies (Salimans et al.
2017, arXiv:1703.03864) on races of the driver itself against the baseline (`metalearn.races`):
`mean_i (c(h + sigma e_i) - c(h - sigma e_i)) e_i / (2 sigma)`, the cost c being steps over the
baseline's, whose mean is the inverse of the challenge's score. That is 26 numbers, few enough for
eighty runs an outer step to tell. Each race is drawn afresh; both runs of a pair share
network and batches. The policy gets the running average of the heights.

The driver times its tests and its first updates, so that two calibrations from one seed differ a
little.
"""

import contextlib
import dataclasses
import json
import math
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import tyro
from safetensors import safe_open
from safetensors.torch import save as to_bytes

from metalearn.alone import alone_in
from metalearn.config import LARGEST_SEED
from metalearn.log import cut_log
from metalearn.outer import Outer
from metalearn.races import Race, draw_race, relative_steps
from policy.checkpoint import (
    RESERVED,
    Policy,
    PolicyError,
    digest,
    load_policy,
    read_metadata,
    save_policy,
)
from policy.rule.spec import GLOBAL_FEATURES, TENSOR_FEATURES
from tasks import DataError
from writing.files import write_atomically

FIRST_SEED = 5_000_000  # of races, with seed 0
APART = 10**9  # between two seeds: neither meets the other's races, or those of the benchmarks
HEIGHTS = TENSOR_FEATURES + GLOBAL_FEATURES + 1  # one for each feature, the last for all rates


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Settings of a calibration."""

    policy: tyro.conf.Positional[Path]
    """Policy file to begin from; a log.jsonl beside it is copied into --out."""

    out: Path
    """Folder of the run: log, state, calibrated policy. An unfinished run in it is resumed."""

    steps: int = 15
    """Outer steps. With more, all rates go on falling: that wins the few races that are missed, and
    makes the others slower."""

    races: int = 10
    """Fresh races per outer step."""

    pairs: int = 4
    """Antithetic pairs of runs per race."""

    sigma: float = 0.05
    """Standard deviation of the perturbations."""

    rate: float = 0.02
    """Peak learning rate of the outer Adam; it falls to a tenth by a cosine."""

    warmup: int = 4
    """Outer steps of linear warm-up."""

    bound: float = 0.2
    """On the difference between the costs of a pair, in steps over the baseline's: beyond, it is
    mostly luck."""

    clip: float = 3.0
    """Bound on the norm of a meta-gradient, over its running root mean square."""

    scarce: int = 3
    """One of so many races has little data (`tasks.scarce`); 0: none."""

    long: int = 3
    """One of so many races, unless it has little data, is a long one; 0: none."""

    files: bool = False
    """Draw races, but for those with little data, also from data sets that need files."""

    processes: int = 2
    """That run races at the same time."""

    seed: int = 0
    """Of races and perturbations."""

    def check(self) -> None:
        """Raise PolicyError for a setting that makes no sense."""
        for name in ("steps", "races", "pairs", "processes"):
            if getattr(self, name) < 1:
                raise PolicyError(f"{name} is {getattr(self, name)}: give at least 1")
        if self.scarce < 0:
            raise PolicyError(f"scarce is {self.scarce}: give 0 or more")
        if self.long < 0 or self.long == 1:
            raise PolicyError(f"long is {self.long}: give 0, or 2 or more")
        for name in ("sigma", "rate", "bound", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise PolicyError(f"{name} is {getattr(self, name)}: give a positive number")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise PolicyError(f"seed is {self.seed}: give 0 to {LARGEST_SEED}")

    def to_json(self) -> str:
        """What determines the result, as JSON text; paths are left out, as files may be moved."""
        settings = dataclasses.asdict(self)
        for name in ("policy", "out", "processes"):
            del settings[name]
        return json.dumps(settings, sort_keys=True)


def raised(weights: dict[str, torch.Tensor], heights: torch.Tensor) -> dict[str, torch.Tensor]:
    """The policy's weights with heights `[HEIGHTS]` added: new tensors, the others shared."""
    return {
        **weights,
        "skip.weight": weights["skip.weight"] + heights[:-1, None],
        "head.bias": weights["head.bias"] + heights[-1],
    }


def estimate(
    heights: torch.Tensor, policy: Policy, config: Calibration, step: int, runner: Callable
) -> tuple[torch.Tensor, list]:
    """Meta-gradient `[HEIGHTS]` at `heights`, and the costs `[2]` of each pair of runs.

    `runner` maps a function over jobs, in order: first `draw`, then `compare`.
    """
    torch.set_num_threads(1)
    first = FIRST_SEED + APART * config.seed + config.races * step
    seeds = range(first, first + config.races)
    races = runner(draw, [(seed, config) for seed in seeds])
    pairs = [
        (race, config.pairs * (first + i) + j)
        for i, race in enumerate(races)
        if race is not None
        for j in range(config.pairs)
    ]
    jobs = [(race, policy, heights, config.sigma, seed) for race, seed in pairs]
    costs = list(runner(compare, jobs))
    gradient = torch.zeros(HEIGHTS)
    for (_, seed), (plus, minus) in zip(pairs, costs, strict=True):
        difference = max(-config.bound, min(config.bound, plus - minus))
        gradient += difference / (2 * config.sigma) * perturbation(seed) / len(pairs)
    return gradient, costs


def perturbation(seed: int) -> torch.Tensor:
    """Standard normal, `[HEIGHTS]`."""
    return torch.randn(HEIGHTS, generator=torch.Generator().manual_seed(seed))


def draw(job: tuple) -> Race | None:
    """A race, or None where the baseline gets nowhere."""
    seed, config = job
    torch.set_num_threads(1)
    return draw_race(seed, kind_of(seed, config), config.files)


def kind_of(seed: int, config: Calibration) -> str:
    """Of the race of a seed."""
    if config.scarce and seed % config.scarce == 0:
        return "scarce"
    return "long" if config.long and seed % config.long == 1 else "usual"


def compare(job: tuple) -> list[float]:
    """Costs of the two runs of an antithetic pair."""
    race, policy, heights, sigma, seed = job
    torch.set_num_threads(1)
    step = sigma * perturbation(seed)
    both = (raised(policy.weights, heights + sign * step) for sign in (1, -1))
    return [relative_steps(race, policy.spec, weights) for weights in both]


def calibrate(
    config: Calibration, runner: Callable, report: Callable[[str], None] = lambda line: None
) -> None:
    """Run, or go on with, the calibration.

    Args:
        runner: maps a function over jobs, in order.
        report: called with the log line of each outer step.

    Raises PolicyError for a file or setting that cannot be used, OSError where nothing can be
    written or another process writes.
    """
    policy = load_policy(config.policy)
    if _policy_file(config).exists() and not _state_file(config).exists():
        raise PolicyError(f"{config.out} holds a policy of another run: give another --out")
    config.out.mkdir(parents=True, exist_ok=True)
    with alone_in(config.out):
        _go_on(policy, config, runner, report)


def _go_on(policy, config, runner, report):
    outer = Outer(torch.zeros(HEIGHTS), 1, config)
    _resume(outer, policy, config)
    if outer.step:
        _write_policy(outer, policy, config)
    log, former = config.out / "calibration.jsonl", config.out / "log.jsonl"
    if outer.step and former.exists() and not log.exists():
        former.replace(log)  # an older run, which gave it the name of meta-training's
    _keep_log(config)
    cut_log(log, outer.step)
    while outer.step < config.steps:
        begin, heights = time.perf_counter(), outer.theta.detach().clone()
        gradient, costs = estimate(heights, policy, config, outer.step, runner)
        norms = outer.update(gradient.unsqueeze(0))
        line = {
            "step": outer.step,
            "pairs": len(costs),
            "cost": sum(map(sum, costs)) / max(2 * len(costs), 1),
            "norm": float(norms[0]),
            "seconds": time.perf_counter() - begin,
        }
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        _save(outer, policy, config)
        report(line)


def _keep_log(config):
    """That of the meta-training goes with the policy: reports of submissions show it."""
    with contextlib.suppress(FileNotFoundError):
        log = config.policy.with_name("log.jsonl").read_bytes()
        write_atomically(config.out / "log.jsonl", log)


def _save(outer, policy, config):
    """The state first, then the policy: a run that ends in between makes the policy again."""
    state = {name: tensor.detach().clone().contiguous() for name, tensor in outer.state().items()}
    metadata = {"calibration": config.to_json(), "policy": digest(policy)}
    write_atomically(_state_file(config), to_bytes(state, metadata))
    _write_policy(outer, policy, config)


def _write_policy(outer, policy, config):
    weights = raised(policy.weights, outer.average)
    kept = {k: v for k, v in read_metadata(config.policy).items() if k not in RESERVED}
    kept.update(calibration=config.to_json(), calibrated_steps=str(outer.step))
    save_policy(_policy_file(config), Policy(policy.spec, weights), kept)


def _policy_file(config):
    return config.out / "policy.safetensors"


def _state_file(config):
    return config.out / "state.safetensors"


def _resume(outer, policy, config):
    path = _state_file(config)
    if not path.exists():
        return
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}
    except Exception as error:
        raise PolicyError(f"{path} is damaged ({error}): give another --out") from error
    if told.get("calibration") != config.to_json():
        raise PolicyError(f"{config.out} holds a run with other settings: give another --out")
    if told.get("policy", digest(policy)) != digest(policy):  # older states do not tell
        raise PolicyError(f"{config.out} holds a run with another policy: give another --out")
    outer.restore(state)


def main() -> None:
    """Calibrate; exit status 2 and one line for input that can't be used."""
    try:
        _run(tyro.cli(Calibration, description="Calibrate the height of a policy's rates."))
    except (PolicyError, DataError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)


def _run(config):
    config.check()
    context = multiprocessing.get_context("spawn")  # a fork would share torch's threads
    with ProcessPoolExecutor(config.processes, mp_context=context) as pool:

        def run(function, jobs):  # unlike pool.map, it cancels nothing: a pool that broke minds
            with _deaf():  # a submitted job may start a process
                futures = [pool.submit(function, job) for job in jobs]
            return [future.result() for future in futures]

        try:
            calibrate(config, run, lambda line: print(json.dumps(line), flush=True))
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.kill()  # rather than wait for its races
            raise


@contextlib.contextmanager
def _deaf():
    """Ignore a Ctrl-C, as do the processes that are started meanwhile, which leave it to this
    one."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


if __name__ == "__main__":
    main()
