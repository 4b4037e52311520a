"""What a policy learned to do: its learning rates over a run, and what they react to.

    python -m benchmarks.behaviour checkpoints/policy.safetensors --out docs/results/behaviour.png

One column a task of a training family. Rows: the rates of each kind of tensor over time, one row a
direction; the mean rate when, for some steps, labels are shuffled, so that the loss jumps, against
an undisturbed run; the mean rate with the target near to the first loss and far away. Rates are in
units of the base rate times the tensor's natural unit; means are geometric.
"""

from pathlib import Path

import matplotlib
import torch
import tyro

from benchmarks.batches import endless
from policy.checkpoint import load_policy
from policy.driver.learner import Learner
from policy.driver.losses import as_number
from policy.rule.controller import rates_of
from tasks import Batch, Variant, build_task

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  the backend comes first

STEPS = 1000
JUMP = range(500, 550)  # steps with shuffled labels
DIRECTIONS = ("fast", "slow", "orthogonal")
TARGETS = {"near": 0.8, "middle": 0.4, "far": 0.05}  # as shares of the first loss
ROWS = (*DIRECTIONS, "jump", "target")
TASKS = {
    "perceptron, digits": Variant("mlp", "digits", arch={"width": 64, "depth": 2}, seed=1),
    "CNN with batch norm, digits": Variant(
        "cnn", "digits", arch={"width": 12, "depth": 3, "norm": "batch"}, seed=1
    ),
    "LSTM, text": Variant(
        "rnn_lm", "topics", arch={"width": 48}, data_options={"alphabet": "letters"}, seed=1
    ),
    "transformer, text": Variant(
        "transformer_lm", "topics", arch={"depth": 2}, data_options={"alphabet": "letters"}, seed=1
    ),
}


def kinds(shapes):
    """Kind -> indices of its tensors."""
    matrices = [i for i, shape in enumerate(shapes) if len(shape) > 1]
    found = {
        "first matrix": matrices[:1],
        "inner matrices": matrices[1:-1],
        "last matrix": matrices[-1:],
        "vectors": [i for i, shape in enumerate(shapes) if len(shape) < 2],
    }
    return {kind: indices for kind, indices in found.items() if indices}


def run(variant, policy, target, shuffled=()):
    """Relative rates ``[STEPS, tensors, DIRECTIONS]`` of a run of STEPS steps on a fresh task."""
    task = build_task(variant)
    task.target_test_loss = target * first_loss(variant)
    learner = Learner(task, policy.spec, policy.weights)
    generator, rates = torch.Generator().manual_seed(0), []
    batches = endless(task)
    for step in range(STEPS):
        batch = next(batches)
        if step in shuffled:
            order = torch.randperm(len(batch.y), generator=generator)
            batch = Batch(batch.x, batch.y[order])
        learner.step(*task.batch_loss_and_gradient(batch))
        memory = learner.carry.memory
        rates.append(rates_of(policy.spec, memory) / memory.unit)
    return torch.stack(rates) / policy.spec.base_rate


def first_loss(variant):
    """Training loss of the first batch."""
    task = build_task(variant)
    return as_number(task.batch_loss(next(endless(task))))


def geometric_mean(rates):
    """Over all but the first axis: ``[STEPS, ...]`` -> ``[STEPS]``."""
    return rates.log().flatten(1).mean(1).exp()


def draw(columns, variant, policy):
    """The pictures of one task."""
    *over_time, jump, distance = columns
    shapes = [p.shape for p in build_task(variant).state]
    rates = run(variant, policy, TARGETS["middle"])
    for direction, picture in enumerate(over_time):
        for kind, indices in kinds(shapes).items():
            found = geometric_mean(rates[:, indices, direction])
            picture.loglog(range(1, STEPS + 1), found, label=kind)
    jump.semilogy(geometric_mean(rates), label="undisturbed")
    disturbed = run(variant, policy, TARGETS["middle"], JUMP)
    jump.semilogy(geometric_mean(disturbed), label="labels shuffled in the grey steps")
    jump.axvspan(JUMP.start, JUMP.stop, color="0.85")
    jump.set_xlim(JUMP.start - 100, min(JUMP.stop + 250, STEPS))
    for name, share in TARGETS.items():
        found = geometric_mean(run(variant, policy, share))
        distance.loglog(range(1, STEPS + 1), found, label=f"target {name}")


def main(policy: tyro.conf.Positional[Path], out: Path) -> None:
    """Draw the figure.

    Args:
        policy: policy file.
        out: picture, PNG or SVG.
    """
    torch.set_num_threads(1)
    learned = load_policy(policy)
    figure, axes = plt.subplots(
        len(ROWS), len(TASKS), figsize=(3.4 * len(TASKS), 12), sharey=True, layout="constrained"
    )
    for columns, (title, variant) in zip(axes.T, TASKS.items(), strict=True):
        draw(columns, variant, learned)
        columns[0].set_title(title)
        columns[-1].set_xlabel("step")
    for row, name in zip(axes, ROWS, strict=True):
        row[0].set_ylabel(f"{name}: rate / (base rate x unit)", fontsize="small")
        row[0].legend(fontsize="small")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    tyro.cli(main)
