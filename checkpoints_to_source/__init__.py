"""Turns a policy's checkpoint into one self-contained ``train.py``.

``modules`` takes one module apart, ``join`` puts several into one file, ``literals`` writes numbers
exactly, ``train_file`` makes the submission of the three.
"""

from checkpoints_to_source.join import Joined, join
from checkpoints_to_source.modules import SourceError
from checkpoints_to_source.train_file import train_file

__all__ = ["Joined", "SourceError", "join", "train_file"]
