"""Training tasks beside the tasks we measure on: size, length of a run, gradient noise.

For random training variants and for the pairs of two suites: the number of weights, the steps that
the baseline Adam(1e-3) needs to reach a loss, and the noise of a batch's gradient after STEPS of
these steps. Expect a policy to do well only where there are training variants.
"""

import itertools
from dataclasses import replace

import torch
from matplotlib.figure import Figure

from benchmarks.settings import Settings
from benchmarks.steps import endless
from tasks import TRAINING_FAMILIES, Task, Variant, build_task, sample_variant, suite
from tasks.baseline import steps_to_test
from tasks.reference import steps_of, tested_steps
from tasks.table import weights

NAME, PAGE = "distribution", "docs/tasks.md"
COUNT = 12  # variants of each training family
STEPS = 100  # steps of the baseline before the noise is measured
BATCHES = 32
SHARE = 0.9  # of the fall of the test loss within LONGEST steps: defines the loss to reach
LONGEST = 1000
SUITES = ("development", "validation")
SEED = 4_000_000  # first variant's; differs from meta-training, calibration and other benchmarks

STYLES = {"training": ("o", "0.6"), "development": ("s", "#0072B2"), "validation": ("D", "#D55E00")}
AXES = {
    "steps": "steps of Adam(1e-3)",
    "noise": "noise / signal of a batch's gradient",
}


def jobs(settings: Settings) -> list[tuple]:
    """Return groups, names and variants: COUNT per training family, and the pairs of SUITES."""
    drawn = [
        ("training", f"{family} {seed}", sample_variant(family, SEED + seed))
        for family in TRAINING_FAMILIES
        for seed in range(COUNT)
    ]
    return drawn + [(name, *pair) for name in SUITES for pair in suite(name).items()]


def measure(job: tuple) -> list[dict]:
    """Return size, steps and noise of one variant."""
    group, name, variant = job
    row = {"group": group, "name": name, "family": variant.family, "parameters": weights(variant)}
    return [{**row, "steps": steps_to(variant), "noise": noise_scale(variant)}]


def steps_to(variant: Variant) -> int | None:
    """Return the first tested step at which the baseline's test loss is below the target.

    Without a target, return the first one at which it has fallen by SHARE of its fall within
    LONGEST steps. Return None if it never does.
    """
    target, variant = variant.target, replace(variant, target=None)
    torch.manual_seed(variant.seed)  # dropout uses torch's global generator
    task = build_task(variant)
    longest = LONGEST if target is None else 10 * LONGEST
    curve = {0: task.test(task.state)}
    for step, loss in tested_steps(task, steps_to_test(longest)):
        curve[step] = loss
        if target is not None and loss < target:
            return step
    if target is not None:
        return None
    target = curve[0] - SHARE * (curve[0] - min(curve.values()))
    return next((step for step, loss in curve.items() if step and loss <= target), None)


def noise_scale(variant: Variant) -> float | None:
    """Return the trace of the gradient's covariance over the squared norm of its mean.

    The value is for the default batch size. Times that size it is the simple noise scale of
    McCandlish et al. 2018 (arXiv:1812.06162), equation 2.9. The mean's norm is corrected for its
    own noise.
    """
    torch.manual_seed(variant.seed)
    task = build_task(replace(variant, target=None))
    for _ in itertools.islice(steps_of(task), STEPS):
        pass
    return noise_over_signal(gradients(task))


def gradients(task: Task) -> torch.Tensor:
    """Return gradients `[BATCHES, weights]` at the current weights."""
    found = []
    for batch in itertools.islice(endless(task), BATCHES):
        _, parts = task.batch_loss_and_gradient(batch)
        found.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(found)


def noise_over_signal(samples: torch.Tensor) -> float | None:
    """Return the noise of gradients `[n, weights]` over their signal.

    Return None if their mean can't be distinguished from zero.
    """
    trace = samples.var(0).sum().item()
    signal = samples.mean(0).pow(2).sum().item() - trace / len(samples)
    return trace / signal if signal > 0 else None


def figure(result: dict) -> Figure:
    """Return steps and gradient noise against size: one dot per variant that has both values."""
    picture = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
    for axes, (what, label) in zip(picture.subplots(1, len(AXES)), AXES.items(), strict=True):
        for group, (marker, color) in STYLES.items():
            mine = [r for r in result["rows"] if r["group"] == group and r[what] is not None]
            x, y = [r["parameters"] for r in mine], [r[what] for r in mine]
            axes.scatter(x, y, s=14, marker=marker, color=color, label=f"{group}, {len(mine)}")
        axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel=label)
        axes.legend(fontsize="small")
    return picture
