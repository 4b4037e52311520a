"""Tasks that follow the AutoTrain challenge's contract, single and batched."""

import writing.interrupts  # noqa: F401 (before imports that take seconds)
from tasks.architectures import FAMILIES, TRAINING_FAMILIES
from tasks.baseline import Curves, adam_curves, steps_to_test
from tasks.batched import BatchedTask
from tasks.build import build_task
from tasks.contract import Batch, Done, Task
from tasks.curve_cache import cached_curves
from tasks.data.formats import DataError
from tasks.options import VariantError
from tasks.sampling import sample_group, sample_variant
from tasks.suites import suite
from tasks.variant import Variant

__all__ = [
    "FAMILIES",
    "TRAINING_FAMILIES",
    "Batch",
    "BatchedTask",
    "Curves",
    "DataError",
    "Done",
    "Task",
    "Variant",
    "VariantError",
    "adam_curves",
    "build_task",
    "cached_curves",
    "sample_group",
    "sample_variant",
    "steps_to_test",
    "suite",
]
