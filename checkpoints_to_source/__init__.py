"""Export a policy's checkpoint as one self-contained file, and build the submission.

The file is either `train.py` or an optimizer to install, `learned_lr.py`.

`modules` parses a module, `join` merges several into one file, and `literals` writes numbers
exactly. `train_file` and `optimizer_file` use all three. `submission` puts train.py into a ZIP with
the `report`; `validation` checks any such ZIP.
"""

import writing.interrupts  # noqa: F401 (before imports that take seconds)
from checkpoints_to_source.join import Joined, join
from checkpoints_to_source.modules import SourceError
from checkpoints_to_source.train_file import train_file

__all__ = ["Joined", "SourceError", "join", "train_file"]
