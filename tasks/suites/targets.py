"""Targets, measured with the baseline and stored in a file next to the pairs.

The rule, fixed before any learned policy was evaluated: a pair's target is the test loss of the
baseline, Adam(1e-3) at the default batch size with one test per epoch, after 60 % of the pair's
budget of epochs (rounded up), rounded up to 3 decimals.
"""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tasks.build import build_task
from tasks.data import digest_of_text
from tasks.options import VariantError
from tasks.reference import adam_epochs
from tasks.suites.pair import Pair
from tasks.variant import Variant
from writing.files import write_atomically

TARGET_SHARE = 0.6
SHIPPED = Path(__file__).with_name("targets.json")


def measure(pair: Pair, root: Path | None = None, device: str = "cpu") -> dict[str, Any]:
    """Run the baseline over the pair's whole budget, and return a record with the target.

    The record has the pair's `variant` and `epochs`, the digest of its `text`, the `device`, the
    `target`, the `epoch` that set it, test `losses` by epoch, wall-clock `seconds` and
    `processor_seconds`. Raises VariantError for a pair that the baseline can't train.
    """
    torch.manual_seed(pair.variant.seed)  # dropout uses torch's global generator
    task = build_task(pair.variant, device, root)
    started = time.process_time()
    losses, seconds = adam_epochs(task, pair.epochs)
    processor = time.process_time() - started
    epoch = math.ceil(TARGET_SHARE * pair.epochs)
    if not math.isfinite(losses[epoch - 1]):
        raise VariantError(
            f"{pair.variant}: the baseline's test loss is {losses[epoch - 1]} after epoch {epoch}, "
            "which is no target: change the pair"
        )
    return {
        "variant": pair.variant.to_dict(),
        "epochs": pair.epochs,
        "text": digest_of_text(pair.variant.data, pair.variant.data_options, root),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "target": math.ceil(losses[epoch - 1] * 1000) / 1000,
        "epoch": epoch,
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "losses": [round(loss, 4) for loss in losses],
    }


def is_of(record: Mapping[str, Any] | None, pair: Pair) -> bool:
    """Return whether the record was measured on this pair. A changed pair needs a new target.

    Fields of variants that are newer than the record count as having their defaults.
    """
    if record is None or record["epochs"] != pair.epochs:
        return False
    return Variant.from_dict(record["variant"]) == pair.variant


def read(path: Path = SHIPPED) -> dict[str, dict[str, Any]]:
    """Return the records by pair. Raises VariantError for a file that `write` did not write."""
    if not path.exists():
        return {}
    try:
        records = json.loads(path.read_text("utf-8"))
        for record in records.values():
            Variant.from_dict(record["variant"])
            record["epochs"], record["target"]
    except (OSError, RecursionError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise VariantError(
            f"{path} holds no measured targets ({type(error).__name__}): remove it or name another"
        ) from None
    return records


def write(records: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write the records atomically, so that an interrupted measurement loses at most one pair."""
    try:
        write_atomically(path, (json.dumps(records, indent=1, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise VariantError(f"cannot write {path}: {error.strerror}") from None
