"""`python -m checkpoints_to_source CHECKPOINT --out train.py`, or `--policy-free`.

Three more verbs: `optimizer`, `submission` and `validate`.
"""

import signal
import sys

from checkpoints_to_source.cli import main

if __name__ == "__main__":
    # Treat SIGTERM like Ctrl-C, to kill a submission that is being validated.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
