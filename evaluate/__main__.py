"""The command line: ``python -m evaluate``."""

import sys

from evaluate.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
