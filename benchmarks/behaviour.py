"""What a policy has learned: its learning rates over a run, and how they react to a disturbance.

One column per task of a training family. The first row shows the rates of each kind of tensor over
time. The second shows the mean rate when labels are shuffled for some steps, so that the loss
jumps, beside an undisturbed run. Rates are in units of the base rate times the tensor's natural
unit; means are geometric.
"""

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure

from benchmarks.settings import PolicySettings
from benchmarks.steps import endless
from policy.checkpoint import Policy, load_policy
from policy.driver.learner import Learner
from policy.rule.controller import rates_of
from tasks import Batch, Variant, build_task

NAME, PAGE = "behaviour", "docs/behaviour.md"
RESULT = Path("runs/behaviour.json")
Settings = PolicySettings
STEPS = 1000
JUMP = range(500, 550)  # steps with shuffled labels
ROWS = ("tensors", "jump")
LETTERS = {"alphabet": "letters"}
CNN = {"width": 12, "depth": 3, "norm": "batch"}
TASKS = {
    "perceptron, digits": Variant("mlp", "digits", {"width": 64, "depth": 2}, seed=1),
    "CNN with batch norm, digits": Variant("cnn", "digits", CNN, seed=1),
    "LSTM, text": Variant("rnn_lm", "topics", {"width": 48}, LETTERS, seed=1),
    "transformer, text": Variant("transformer_lm", "topics", {"depth": 2}, LETTERS, seed=1),
}


def kinds(shapes: Sequence[Sequence[int]]) -> dict[str, list[int]]:
    """Return kind -> indices of its tensors."""
    matrices = [i for i, shape in enumerate(shapes) if len(shape) > 1]
    found = {
        "first matrix": matrices[:1],
        "inner matrices": matrices[1:-1],
        "last matrix": matrices[-1:],
        "vectors": [i for i, shape in enumerate(shapes) if len(shape) < 2],
    }
    return {kind: indices for kind, indices in found.items() if indices}


def run(variant: Variant, policy: Policy, shuffled: Collection[int] = ()) -> torch.Tensor:
    """Return relative rates `[STEPS, tensors]` of a run of STEPS steps on a fresh task."""
    task = build_task(variant)
    learner = Learner(task, policy.spec, policy.weights)
    generator, rates = torch.Generator().manual_seed(0), []
    for step, batch in enumerate(itertools.islice(endless(task), STEPS)):
        if step in shuffled:
            order = torch.randperm(len(batch.y), generator=generator)
            batch = Batch(batch.x, batch.y[order])
        learner.step(*task.batch_loss_and_gradient(batch))
        memory = learner.carry.memory
        rates.append(rates_of(policy.spec, memory) / memory.unit)
    return torch.stack(rates) / policy.spec.base_rate


def geometric_mean(rates: torch.Tensor) -> torch.Tensor:
    """Return the geometric mean over all but the first axis: `[STEPS, ...]` -> `[STEPS]`."""
    return rates.log().flatten(1).mean(1).exp()


def jobs(settings: Settings) -> list[tuple]:
    """Return the tasks by name, with the policy."""
    learned = load_policy(settings.policy)
    return [(name, learned) for name in TASKS]


def measure(job: tuple) -> list[dict]:
    """Return the curves of one task: row of the figure -> label -> numbers."""
    name, policy = job
    variant = TASKS[name]
    found = kinds([weight.shape for weight in build_task(variant).state])
    rates, disturbed = run(variant, policy), run(variant, policy, JUMP)
    curves = {
        "tensors": {kind: geometric_mean(rates[:, i]).tolist() for kind, i in found.items()},
        "jump": {
            "undisturbed": geometric_mean(rates).tolist(),
            "labels shuffled in the grey steps": geometric_mean(disturbed).tolist(),
        },
    }
    return [{"task": name, "curves": curves}]


def figure(result: dict) -> Figure:
    """Return the figure, one column per task."""
    picture = Figure(figsize=(3.4 * len(TASKS), 5), dpi=110, layout="constrained")
    axes = picture.subplots(len(ROWS), len(TASKS), sharey=True)
    steps = range(1, STEPS + 1)
    for (upper, lower), row in zip(axes.T, result["rows"], strict=True):
        for label, rates in row["curves"]["tensors"].items():
            upper.loglog(steps, rates, label=label)
        for label, rates in row["curves"]["jump"].items():
            lower.semilogy(steps, rates, label=label)
        lower.axvspan(JUMP.start, JUMP.stop, color="0.85")
        lower.set_xlim(JUMP.start - 100, min(JUMP.stop + 250, STEPS))
        upper.set_title(row["task"])
        lower.set_xlabel("step")
    for row, name in zip(axes, ROWS, strict=True):
        row[0].set_ylabel(f"{name}: rate / (base rate x unit)", fontsize="small")
        row[0].legend(fontsize="small")
    return picture
