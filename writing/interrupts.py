"""Report Ctrl-C in one line, from the imports on, when Python runs a module (`python -m`).

Each package with a command line imports this first. It changes nothing for other programs.
"""

import sys
from typing import Any


def _tell(kind: type[BaseException], problem: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, problem, trace)


if sys.argv[:1] == ["-m"]:  # while Python looks for the module
    sys.excepthook = _tell
