"""The cost of the update, as a share of a whole training step and relative to AdamW.

The learned update is that of the exported train.py: pack gradients, step, copy the weights into the
model. Peers come from their packages (extra `peers`). All take turns in one process, in blocks; a
row shows the median over blocks. On the CPU, times are CPU times with one thread, so that other
work on the machine matters little. On a GPU they are wall-clock times, with the device synchronised
around each block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.origin import sentence
from benchmarks.settings import PolicySettings
from benchmarks.steps import timed
from evaluate.show.table import three_digits
from policy.checkpoint import Policy, load_policy
from policy.driver.learner import Learner
from policy.rule.orthogonal import orthogonal_direction
from writing.markdown import table as table_of

NAME, PAGE, ALONE = "step_overhead", "docs/learned_lr.md", True
COLUMNS = (
    "network; forward and backward",
    "update",
    "ms",
    "share of its step",
    "step / step with AdamW",
)
SEED, BLOCKS = 0, 5  # timed blocks per optimizer
ADAMW = "AdamW (foreach)"


class Workload(NamedTuple):
    """A network with one batch. `steps`: per block, a multiple of the policy's stride."""

    name: str
    network: nn.Module
    x: torch.Tensor
    y: torch.Tensor
    steps: int

    def gradients(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return loss and gradients, as an oracle does."""
        self.network.zero_grad(set_to_none=False)
        loss = nn.functional.cross_entropy(self.network(self.x), self.y)
        loss.backward()
        return loss.detach(), [p.grad for p in self.network.parameters()]

    def weights(self) -> list[torch.Tensor]:
        """Return copies of the network's weights."""
        return [p.detach().clone() for p in self.network.parameters()]


def mlp(device: str) -> Workload:
    """Return a network so small that the update dominates."""
    network = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    return _workload("784-64-10 at batch 64", network, (64, 784), 200, device)


def resnet18(device: str) -> Workload:
    """Return the challenge's image network."""
    from torchvision.models import resnet18

    network = resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    name = "ResNet-18 for 32 pixels, 11.2 million weights, at batch 128"
    return _workload(name, network, (128, 3, 32, 32), 5, device)


def _workload(name, network, shape, steps, device):
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(shape, generator=generator)
    y = torch.randint(10, shape[:1], generator=generator)
    return Workload(name, network.to(device), x.to(device), y.to(device), steps)


def updates(policy: Policy, work: Workload) -> dict[str, Callable]:
    """Return name -> function `(loss, gradients)` that makes one update on its own weights."""
    import prodigyopt
    import pytorch_optimizer
    import schedulefree

    def of(make, **options):
        weights = work.weights()
        optimizer = make(weights, **options)
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

    task = SimpleNamespace(state=work.weights(), target_test_loss=0.1)
    learner = Learner(task, policy.spec, policy.weights)
    return {
        ADAMW: of(torch.optim.AdamW, lr=1e-5, foreach=True),
        "learned (train.py)": learner.step,
        "of that, the orthogonal direction": orthogonal_part(learner),
        "Prodigy": of(prodigyopt.Prodigy),
        "schedule-free AdamW": of(schedulefree.AdamWScheduleFree, lr=1e-5),
        "SOAP": of(pytorch_optimizer.SOAP, lr=1e-5),
        "Muon": of(muon),
    }


def orthogonal_part(learner: Learner) -> Callable:
    """Return a function that computes only the learner's orthogonal direction, without a step."""
    gradient = torch.randn_like(learner.carry.buffers.momentum)
    direction = torch.empty_like(gradient)

    def make(loss, gradients):
        orthogonal_direction(learner.layout, learner.carry.buffers.momentum, gradient, direction)

    return make


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Time updates."""

    device: str = "cpu"
    """Torch device, such as cpu or cuda."""


def jobs(settings: Settings) -> list[tuple]:
    """Return networks, each with the settings."""
    return [(make, settings) for make in (mlp, resnet18)]


def measure(job: tuple) -> list[dict]:
    """Return one row per optimizer: the update's share of a step, and the step over AdamW's."""
    make, settings = job
    work = make(settings.device)
    oracle, seconds = medians(updates(load_policy(settings.policy), work), work, settings.device)
    return [
        {
            "workload": work.name,
            "oracle ms": 1e3 * oracle,
            "update": name,
            "ms": 1e3 * spent,
            "share": spent / (oracle + spent),
            "over AdamW": (oracle + spent) / (oracle + seconds[ADAMW]),
        }
        for name, spent in seconds.items()
    ]


def medians(
    steps: dict[str, Callable], work: Workload, device: str
) -> tuple[float, dict[str, float]]:
    """Return median seconds of forward and backward passes, and of each update."""
    loss, gradients = work.gradients()
    gradients = [g.clone() for g in gradients]
    calls = [work.gradients, *(lambda step=step: step(loss, gradients) for step in steps.values())]
    # The first block is a warm-up.
    blocks = [[timed(call, work.steps, device) for call in calls] for _ in range(BLOCKS + 1)][1:]
    oracle, *others = map(median, zip(*blocks, strict=True))
    return oracle, dict(zip(steps, others, strict=True))


def table(result: dict) -> str:
    """Return one table for all workloads, and the origin of the numbers."""
    rows = [
        [
            f"{row['workload'].rstrip('.')}, {three_digits(row['oracle ms'])} ms",
            row["update"],
            three_digits(row["ms"]),
            f"{100 * row['share']:.1f} %",
            f"{row['over AdamW']:.3f}",
        ]
        for row in result["rows"]
    ]
    return f"{table_of(COLUMNS, rows)}\n\nCPU time on the CPU. {sentence(result)}"
