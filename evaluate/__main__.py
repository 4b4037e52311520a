"""The command line: `python -m evaluate`."""

import signal
import sys

from evaluate.cli import main

if __name__ == "__main__":
    # As Ctrl-C, so that a run's end is saved and its processes and files go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
