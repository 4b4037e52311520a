"""``python -m checkpoints_to_source CHECKPOINT --out train.py``, or ``--policy-free``.

Three more verbs: ``optimizer``, ``submission`` and ``validate``.
"""

import sys

from checkpoints_to_source.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
