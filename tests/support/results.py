"""Made-up results of runs."""

from evaluate.outcomes import Outcome
from evaluate.score.results import Result


def make_result(**fields):
    """Return a result as the runner would make it, with any fields replaced."""
    curve = {"seconds": [0.5, 1.0], "steps": [1, 2], "loss": [2.0, 0.5]}
    defaults = {
        "suite": "demo",
        "pair": "digits",
        "variant": {"family": "mlp"},
        "variant_digest": "0123456789abcdef",
        "target": 0.6,
        "role": "submission",
        "submission": "train",
        "submission_path": "train.py",
        "submission_sha256": "a" * 64,
        "repeat": 0,
        "seed": 0,
        "outcome": Outcome.REACHED,
        "message": "",
        "limit_seconds": 60.0,
        "seconds": 1.0,
        "steps": 2,
        "calls": {"batch_loss_and_gradient": 2, "batch_loss": 0, "test": 1},
        "test_seconds": 0.1,
        "verified_test_losses": [0.5],
        "train_curve": curve,
        "test_curve": curve,
        "learning_rates": None,
        "tensor_shapes": [[2]],
        "hardware": {
            "cpu": "a cpu", "cores": 2, "gpu": None, "device": "cpu", "threads": 1
        },
        "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.0", "cuda": ""},
        "git": {"commit": "f" * 40, "dirty": False},
        "command": ["python", "-m", "evaluate"],
        "started_at": "2026-01-02T03:04:05.678901+00:00",
    }  # fmt: skip
    if fields.get("role") == "baseline":
        defaults |= {"submission": "adam", "submission_sha256": "b" * 64}
    return Result(**defaults | fields)
