"""Inner steps per second of meta-training, beside a plain loop, JAX and the hardware's limit.

All numbers of a family have the same task, batch size and policy. One inner step is: loss and
gradient of one particle, update and average of its weights, and a fifth of a decision.

loop: single tasks one after another, with the exported file's own step. It makes no tests, which
    favours it.
eager: all particles at once (`metalearn.rollout.Rollout`), with tests of the averages.
graph: the same, replayed from a CUDA graph; on CUDA only.
jax: the same steps and tests in JAX, `jit` of `scan` of `vmap` (`benchmarks.jax_step`). It is only
    timed if its test losses agree with torch's; needs the extra `benchmarks`.
floor: the hardware's limit. The larger of two times: operations of the loss and its gradient, as
    counted by torch, at the rate of a large matrix product; bytes of one pass over the optimizer's
    state, at the rate of a large copy. Both rates are measured in the same run.

On a CPU the process is pinned to one core, and times are CPU times, so that other work on the
machine matters little. On CUDA they are wall-clock times with the device synchronised.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import settings
from benchmarks.origin import sentence
from benchmarks.steps import timed
from metalearn.episodes import Pool
from metalearn.graph import Graphed
from metalearn.rollout import Rollout
from metalearn.tree import leaves, mapped
from policy.driver.learner import Learner
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights
from tasks import TRAINING_FAMILIES, BatchedTask, Variant, build_task, sample_group
from writing.markdown import table as table_of

NAME, PAGE, ALONE = "throughput", "docs/metalearn.md", True
COUNTED = ("weights", "batch", "particles")
WAYS = ("loop", "jax", "eager", "graph", "floor")
COLUMNS = ("family", *COUNTED, *WAYS, "best / loop", "best / jax", "of floor", "kB / particle")
SPEC, SEED = Spec(), 0
SAMPLES = 3  # the fastest timing counts, since other load only slows down
SECONDS = 0.5  # shortest duration of one timing
PARTICLES = (16, 64)
GROWTH = (1, 4, 16, 64, 256, 1024, 4096)  # particles, for the first family
PASSES = 12  # over the weights: five matrices read and written, gradient written and read
TOLERANCE = 1e-2  # of JAX's test losses after five steps, relative to the largest loss


@dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Measure the throughput of meta-training."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Device of torch and JAX. With cuda, nothing is measured if JAX finds no GPU."""


def jobs(settings: Settings) -> list[tuple]:
    """Return families, with the device.

    Also set up this process: one core, and JAX on torch's device.
    """
    device = torch.device(settings.device)
    torch.set_num_threads(1)
    if device.type == "cpu":  # JAX can't limit its threads
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # JAX prefers a GPU
    # Set before JAX is imported: it otherwise reserves most of the GPU's memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if device.type == "cuda" and jax_version()["device"] == "cpu":
        raise SystemExit(
            "error: JAX finds no GPU: install the jax[cuda...] of this driver, or no JAX"
        )
    machine_rates(device)
    return [(family, device) for family in TRAINING_FAMILIES]


@functools.cache
def machine_rates(device: torch.device) -> dict[str, float]:
    """Return the rates of large copies and products, on an idle machine."""
    return {"bytes/s": copy_rate(device), "operations/s": product_rate(device)}


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"jax": jax_version(), "rates": machine_rates(torch.device(settings.device))}


def measure(job: tuple) -> list[dict]:
    """Return one row per number of particles, for the first group of a family."""
    family, device = job
    variants = sample_group(family, SEED, 2)
    pool = Pool(variants, 20, 20, SEED, device)
    shared = {
        "family": family,
        "variant": variants[0].to_dict(),
        "weights": sum(shape.numel() for shape in pool.task.shapes),
        "batch": pool.task.batch_size,
        "loop": loop_rate(variants[0]),
        "floor": 1 / floor(pool.task, device, machine_rates(device)),
    }
    rollout = Rollout(pool, SPEC)
    counts = GROWTH if family == TRAINING_FAMILIES[0] else PARTICLES
    return [{**shared, "particles": count, **all_rates(rollout, count)} for count in counts]


def all_rates(rollout: Rollout, count: int) -> dict:
    """Return the rates of all ways, and bytes per particle, with `count` particles."""
    device = rollout.task.device
    arguments = start(rollout, count, SEED)
    state = sum(t.nbytes for t in leaves(arguments[0]))
    jax, graph = jax_rate(rollout, arguments), None
    steps = SPEC.stride * count
    eager = steps / best_time(lambda: rollout.advance(*arguments), device)
    if device.type == "cuda":
        recorded = Graphed(rollout.advance)
        graph = steps / best_time(lambda: recorded(*arguments), device)
    return {"jax": jax, "eager": eager, "graph": graph, "state bytes per particle": state // count}


def start(rollout: Rollout, count: int, seed: int) -> tuple:
    """Return the arguments of `advance`: particles, a policy with non-zero output, samples."""
    task, device = rollout.task, rollout.task.device
    generator = torch.Generator().manual_seed(seed)
    policy = initial_weights(SPEC, seed)
    policy["head.weight"].uniform_(-0.3, 0.3, generator=generator)
    weights = {n: w.to(device).expand(count, *w.shape) for n, w in policy.items()}
    shape = (SPEC.stride, count, task.batch_size)
    indices = torch.randint(task.train_size, shape, generator=generator).to(device)
    drawn = rollout.pool.draw(count, torch.Generator(device).manual_seed(seed))
    return rollout.begin(drawn), weights, indices


def jax_rate(rollout: Rollout, arguments: tuple) -> float | None:
    """Return inner steps per second in JAX, None without JAX or such a network.

    Raise RuntimeError if its test losses differ from torch's.
    """
    try:
        from benchmarks.jax_networks import NETWORKS
        from benchmarks.jax_step import JaxRollout, to_torch
    except ImportError:
        return None
    if rollout.pool.family not in NETWORKS:
        return None
    particles, weights, indices = arguments
    call = JaxRollout(rollout.pool, SPEC, particles, weights, indices)
    copy = mapped(torch.clone, particles)  # `advance` changes particles in place
    rollout.advance(copy, weights, indices)
    difference = (to_torch(call()).to(copy.tested) - copy.tested).abs().max().item()
    if not difference < TOLERANCE * copy.tested.abs().max().item():
        raise RuntimeError(f"JAX's test losses of {rollout.pool.family} are off by {difference}")
    return indices.shape[0] * indices.shape[1] / best_time(call, indices.device, call.wait)


def loop_rate(variant: Variant) -> float:
    """Return inner steps per second of single tasks, one after another, on the CPU."""
    task = build_task(variant)
    task.target_test_loss = 0.1
    learner = Learner(task, SPEC, initial_weights(SPEC, SEED))
    batch = next(iter(task.train_iterator(batch_size=task.default_batch_size, shuffle=True)))

    def steps():
        for _ in range(SPEC.stride):
            learner.step(*task.batch_loss_and_gradient(batch))

    return SPEC.stride / best_time(steps, torch.device("cpu"))


def floor(task: BatchedTask, device: torch.device, rates: dict[str, float]) -> float:
    """Return the least seconds per inner step and particle."""
    which = torch.zeros(1, dtype=torch.long, device=device)
    index = torch.zeros(1, task.batch_size, dtype=torch.long, device=device)
    with FlopCounterMode(display=False) as counter:
        task.loss_and_gradient(task.initial(which), which, task.batch(which, index))
    size = sum(shape.numel() for shape in task.shapes) * 4
    return max(counter.get_total_flops() / rates["operations/s"], PASSES * size / rates["bytes/s"])


def copy_rate(device: torch.device) -> float:
    """Return bytes read and written per second, 256 MB at a time."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: target.copy_(source), 10, device)


def product_rate(device: torch.device) -> float:
    """Return multiplications and additions per second in a large float32 matrix product."""
    size = 1024 if device.type == "cpu" else 8192
    a = torch.ones(size, size, device=device)
    return 2 * size**3 / fastest(lambda: a @ a, 10, device)


def best_time(function: Callable, device: torch.device, finish: Callable | None = None) -> float:
    """Return seconds per call: the fastest of SAMPLES timings of at least SECONDS each.

    `finish` waits for the call's pending work; None waits for torch's.
    """
    once = fastest(function, 1, device, finish)
    if once > SECONDS:
        return once
    return fastest(function, SAMPLES, device, finish, max(1, round(SECONDS / once)))


def fastest(
    function: Callable,
    samples: int,
    device: torch.device,
    finish: Callable | None = None,
    calls: int = 1,
) -> float:
    """Return the least mean seconds per call over several timings of `calls` calls.

    A first timing is discarded.
    """
    return min([timed(function, calls, device, finish) for _ in range(samples + 1)][1:])


def jax_version() -> dict:
    """Return JAX's version and device, both None if it is not installed."""
    try:
        import jax
    except ImportError:
        return {"version": None, "device": None}
    return {"version": jax.__version__, "device": jax.devices()[0].device_kind}


def table(result: dict) -> str:
    """Return the table of a result, and its origin."""
    version = result["jax"]["version"]
    jax = f"; JAX {version}" if version else ""
    rows = [_cells(row) for row in result["rows"]]
    return f"{table_of(COLUMNS, rows)}\n\nInner steps per second{jax}. {sentence(result)}"


def _cells(row):
    best = max(row[way] or 0.0 for way in ("eager", "graph"))
    counts = [f"{row[name]:,}" for name in COUNTED]
    rates = ["-" if row[way] is None else f"{row[way]:,.0f}" for way in WAYS]
    ratios = ["-" if not row[way] else f"{best / row[way]:.1f}x" for way in ("loop", "jax")]
    size = f"{row['state bytes per particle'] / 1000:,.0f}"
    return [row["family"], *counts, *rates, *ratios, f"{best / row['floor']:.0%}", size]
