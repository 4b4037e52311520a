"""Inner steps per second of meta-training, beside a plain loop and the hardware's floor.

    python -m benchmarks.meta_throughput --out results.json

All of one family's numbers are of the same task, batch size and policy. One inner step is: loss and
gradient of one particle, update and average of its weights, and a fifth of a decision.

loop: one single task after the other, each with the exported file's own step; it makes no tests,
    which favours it.
eager: all particles at once (:class:`metalearn.rollout.Rollout`), with its tests of the averages.
graph: the same replayed from a CUDA graph; on CUDA only.
floor: what no program can beat. Operations of the loss and its gradient, counted by torch, at the
    rate of a large matrix product; or the bytes of one pass over the optimizer's state, at the rate
    of a large copy; whichever takes longer. Both rates are measured in the same run.
"""

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from metalearn.episodes import Pool
from metalearn.graph import Graphed
from metalearn.rollout import Rollout
from metalearn.tree import leaves
from policy.checkpoint import write_atomically
from policy.learner import Learner
from policy.spec import Spec
from policy.weights import initial_weights
from tasks import build_task, sample_group

SPEC = Spec()
SAMPLES = 3  # timings of which the fastest counts: others' load only ever slows down
PASSES = 12  # over the weights: five matrices read and written, the gradient written and read


@dataclass(frozen=True)
class Options:
    """Measure the throughput of meta-training."""

    out: Path
    """Results, as JSON."""

    families: tuple[str, ...] = ("mlp", "cnn", "rnn_lm", "transformer_lm")
    """Task families."""

    particles: tuple[int, ...] = (1, 16, 64)
    """Numbers of particles to measure."""

    device: str = "cpu"
    """cpu or cuda."""

    seconds: float = 0.5
    """Least duration of one timing."""


def main():
    """Measure, print, write."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    device = torch.device(options.device)
    rates = {"bytes/s": copy_rate(device), "operations/s": product_rate(device)}
    rows = [
        row for family in options.families for row in measure_family(family, options, device, rates)
    ]
    settings = {**asdict(options), "out": str(options.out)}
    result = {"machine": machine(device), "settings": settings, "rates": rates, "rows": rows}
    write_atomically(options.out, json.dumps(result, indent=1).encode())
    Console().print(as_table(rows, result["machine"]))


def measure_family(family, options, device, rates):
    """One row per number of particles, for the first group of a family."""
    variants = sample_group(family, 0, 2)
    pool = Pool(variants, 20, 20, 0, device)
    loop = loop_rate(variants[0], options)
    ideal = 1 / floor(pool.task, device, rates)
    for count in options.particles:
        rollout = Rollout(pool, SPEC)
        particles = start(rollout, count)
        state = sum(t.nbytes for t in leaves(particles))
        eager = batched_rate(rollout.advance, rollout, particles, options, device)
        graph = None
        if device.type == "cuda":
            graph = batched_rate(Graphed(rollout.advance), rollout, particles, options, device)
        yield {
            "family": family,
            "weights": sum(shape.numel() for shape in pool.task.shapes),
            "batch": pool.task.batch_size,
            "particles": count,
            "loop": loop,
            "eager": eager,
            "graph": graph,
            "floor": ideal,
            "state bytes per particle": state // count,
            "peak bytes": peak(device),
        }


def start(rollout, count):
    generator = torch.Generator(rollout.task.device).manual_seed(0)
    return rollout.begin(rollout.pool.draw(count, generator))


def batched_rate(advance, rollout, particles, options, device):
    """Inner steps per second of all particles together."""
    task, count = rollout.task, len(particles.tested)
    weights = {
        name: w.to(device).expand(count, *w.shape) for name, w in initial_weights(SPEC, 0).items()
    }
    shape = (SPEC.stride, count, task.batch_size)
    indices = torch.randint(task.train_size, shape, device=device)
    per_call = SPEC.stride * count
    return per_call / best_time(lambda: advance(particles, weights, indices), options, device)


def loop_rate(variant, options):
    """Inner steps per second of single tasks, one after the other; they run on the CPU."""
    task = build_task(variant)
    task.target_test_loss = 0.1
    learner = Learner(task, SPEC, initial_weights(SPEC, 0))
    batch = next(iter(task.train_iterator(batch_size=task.default_batch_size, shuffle=True)))

    def steps():
        for _ in range(SPEC.stride):
            learner.step(*task.batch_loss_and_gradient(batch))

    return SPEC.stride / best_time(steps, options, torch.device("cpu"))


def floor(task, device, rates):
    """Least seconds per inner step and particle."""
    which = torch.zeros(1, dtype=torch.long, device=device)
    index = torch.zeros(1, task.batch_size, dtype=torch.long, device=device)
    with FlopCounterMode(display=False) as counter:
        task.loss_and_gradient(task.initial(which), which, task.batch(which, index))
    size = sum(shape.numel() for shape in task.shapes) * 4
    return max(counter.get_total_flops() / rates["operations/s"], PASSES * size / rates["bytes/s"])


def copy_rate(device):
    """Bytes read and written per second, 256 MB at a time."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: target.copy_(source), 10, device)


def product_rate(device):
    """Multiplications and additions per second in a float32 product of large matrices."""
    size = 1024 if device.type == "cpu" else 8192
    a = torch.ones(size, size, device=device)
    return 2 * size**3 / fastest(lambda: a @ a, 10, device)


def best_time(function, options, device):
    """Seconds per call: the fastest of SAMPLES stretches of at least ``options.seconds``."""
    once = fastest(function, 2, device)
    calls = max(1, round(options.seconds / once))

    def stretch():
        for _ in range(calls):
            function()

    return fastest(stretch, SAMPLES, device) / calls


def fastest(function, count, device):
    """Shortest of ``count`` calls, in seconds, after one that does not count."""
    function()
    times = []
    for _ in range(count):
        wait(device)
        begin = time.perf_counter()
        function()
        wait(device)
        times.append(time.perf_counter() - begin)
    return min(times)


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(device):
    """Most bytes allocated since the last call; None on CPU."""
    if device.type != "cuda":
        return None
    most = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return most


def machine(device):
    """What ran it."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {"device": name or platform.machine(), "torch": torch.__version__, "threads": 1}


def as_table(rows, machine):
    """The rows as a table."""
    title = f"Inner steps per second, {machine['device']}, torch {machine['torch']}, one thread"
    columns = ("family", "weights", "batch", "particles", "loop", "eager", "graph", "floor")
    table = Table(*columns, "best/loop", "best/floor", title=title)
    for row in rows:
        best = row["graph"] or row["eager"]
        cells = [row[name] for name in columns]
        text = ["-" if c is None else c if isinstance(c, str) else f"{c:,.0f}" for c in cells]
        table.add_row(*text, f"{best / row['loop']:.1f}x", f"{best / row['floor']:.3f}")
    return table


if __name__ == "__main__":
    main()
