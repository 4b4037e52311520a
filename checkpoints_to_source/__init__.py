"""Turns a policy's checkpoint into one self-contained `train.py`, and that into a submission; or
into an optimizer to install, `learned_lr.py`.

`modules` takes one module apart, `join` puts several into one file, `literals` writes numbers
exactly, `train_file` and `optimizer_file` make files of the three. `submission` puts train.py
into a ZIP with the `report`; `validation` checks such a ZIP, ours or any other.
"""

import writing.interrupts  # noqa: F401 (before imports that take seconds)
from checkpoints_to_source.join import Joined, join
from checkpoints_to_source.modules import SourceError
from checkpoints_to_source.train_file import train_file

__all__ = ["Joined", "SourceError", "join", "train_file"]
