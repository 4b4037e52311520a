"""The command line: `python -m evaluate`."""

import signal
import sys

from evaluate.cli import main

if __name__ == "__main__":
    # Treat SIGTERM like Ctrl-C: save the run's end, then remove its processes and files.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
