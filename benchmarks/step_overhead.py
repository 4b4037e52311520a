"""What the update costs, as a share of a whole training step with AdamW.

The learned update is the one that the exported train.py makes: pack gradients, step, copy the
weights into the model. Peers are their packages' own (extra `peers`). All take turns in one
process, in blocks; a row shows the median over blocks. On the CPU it is CPU time, with one thread,
so that other work on the machine counts little; on a GPU it is wall-clock time with the device
synchronised around each block.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.origin import sentence
from benchmarks.settings import PolicySettings
from evaluate.show.table import three_digits
from policy.checkpoint import Policy, load_policy
from policy.driver.learner import Learner
from policy.rule.orthogonal import orthogonal_direction
from writing.markdown import table as table_of

NAME, PAGE, ALONE = "step_overhead", "docs/learned_lr.md", True
COLUMNS = ("update", "ms", "share of its step", "step / step with AdamW")
SEED, BLOCKS = 0, 5  # timed blocks of each optimizer


class Workload(NamedTuple):
    """A network with one batch. steps: in a block, a multiple of the policy's stride."""

    network: nn.Module
    x: torch.Tensor
    y: torch.Tensor
    steps: int

    def gradients(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Loss and gradients, as an oracle gives them."""
        self.network.zero_grad(set_to_none=False)
        loss = nn.functional.cross_entropy(self.network(self.x), self.y)
        loss.backward()
        return loss.detach(), [p.grad for p in self.network.parameters()]


class State(NamedTuple):
    """As much of a task as the learner needs."""

    state: list[torch.Tensor]
    target_test_loss: float = 0.1


def mlp(device: torch.device) -> Workload:
    """784-64-10 at batch 64."""
    network = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    return Workload(network.to(device), *_batch((64, 784), device), steps=200)


def resnet18(device: torch.device) -> Workload:
    """ResNet-18 for 32 pixels, 11.2 million weights, at batch 128."""
    from torchvision.models import resnet18

    network = resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return Workload(network.to(device), *_batch((128, 3, 32, 32), device), steps=5)


def _batch(shape: tuple, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(shape, generator=generator)
    y = torch.randint(10, shape[:1], generator=generator)
    return x.to(device), y.to(device)


WORKLOADS = {"mlp": mlp, "resnet18": resnet18}


def updates(policy: Policy, work: Workload) -> dict[str, Callable]:
    """Name -> function `(loss, gradients)` that makes one update. Each has weights of its own."""
    import prodigyopt
    import pytorch_optimizer
    import schedulefree

    def of(make):
        weights = [p.detach().clone() for p in work.network.parameters()]
        optimizer = make(weights)
        if hasattr(optimizer, "train"):
            optimizer.train()

        def update(loss, gradients):
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient
            optimizer.step()

        return update

    def muon(weights):
        matrices = [w for w in weights if w.dim() >= 2]
        vectors = [w for w in weights if w.dim() < 2]
        groups = [{"params": matrices, "use_muon": True}, {"params": vectors, "use_muon": False}]
        return pytorch_optimizer.Muon(groups)

    state = State([p.detach().clone() for p in work.network.parameters()])
    learner = Learner(state, policy.spec, policy.weights)
    return {
        "AdamW (foreach)": of(lambda w: torch.optim.AdamW(w, lr=1e-5, foreach=True)),
        "learned (train.py)": learner.step,
        "of that, the orthogonal direction": orthogonal_part(learner),
        "Prodigy": of(lambda w: prodigyopt.Prodigy(w)),
        "schedule-free AdamW": of(lambda w: schedulefree.AdamWScheduleFree(w, lr=1e-5)),
        "SOAP": of(lambda w: pytorch_optimizer.SOAP(w, lr=1e-5)),
        "Muon": of(muon),
    }


def orthogonal_part(learner: Learner) -> Callable:
    """A function like an update, which makes the learner's orthogonal direction and no step."""
    gradient = torch.randn_like(learner.carry.buffers.momentum)
    direction = torch.empty_like(gradient)

    def make(loss, gradients):
        orthogonal_direction(learner.layout, learner.carry.buffers.momentum, gradient, direction)

    return make


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Time updates."""

    device: str = "cpu"
    """Torch device."""


def jobs(settings: Settings) -> list[tuple]:
    """Networks, each with the settings."""
    return [(name, settings) for name in WORKLOADS]


def measure(job: tuple) -> list[dict]:
    """One row an optimizer."""
    name, settings = job
    work = WORKLOADS[name](settings.device)
    learned = load_policy(settings.policy)
    seconds = medians(updates(learned, work), work, settings.device)
    return compared(WORKLOADS[name].__doc__, seconds)


def medians(
    steps: dict[str, Callable], work: Workload, device: torch.device
) -> dict[str | None, float]:
    """Seconds of forward and backward (under None) and of each update."""
    loss, gradients = work.gradients()
    gradients = [g.clone() for g in gradients]
    steps = {None: lambda loss, gradients: work.gradients(), **steps}
    seconds = {name: [] for name in steps}
    for block in range(BLOCKS + 1):
        for name, step in steps.items():
            spent = timed(lambda step=step: step(loss, gradients), work.steps, device)
            if block:  # the first one warms up
                seconds[name].append(spent)
    return {name: median(values) for name, values in seconds.items()}


def timed(function: Callable, count: int, device: torch.device) -> float:
    """Mean seconds of a call."""
    on_cpu = torch.device(device).type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    begin = clock()
    for _ in range(count):
        function()
    if not on_cpu:
        torch.cuda.synchronize(device)
    return (clock() - begin) / count


def compared(workload: str, seconds: dict) -> list[dict]:
    """One row an optimizer, with its share of its own step and its step over AdamW's."""
    oracle = seconds[None]
    adamw = oracle + seconds["AdamW (foreach)"]
    return [
        {
            "workload": workload,
            "oracle ms": 1e3 * oracle,
            "update": name,
            "ms": 1e3 * spent,
            "share": spent / (oracle + spent),
            "over AdamW": (oracle + spent) / adamw,
        }
        for name, spent in seconds.items()
        if name is not None
    ]


def cells(row: dict) -> list[str]:
    """The texts of one row, in the order of COLUMNS."""
    share = f"{100 * row['share']:.1f} %"
    return [row["update"], three_digits(row["ms"]), share, f"{row['over AdamW']:.3f}"]


def table(result: dict) -> str:
    """A table for all workloads, and where its numbers come from."""
    rows = [
        [f"{row['workload'].rstrip('.')}, {three_digits(row['oracle ms'])} ms", *cells(row)]
        for row in result["rows"]
    ]
    content = table_of(("network; forward and backward", *COLUMNS), rows)
    return f"{content}\n\nCPU time on the CPU. {sentence(result)}"
