"""Report Ctrl-C in one line, even during imports, when Python runs a module (`python -m`).

Each package with a command line imports this first. Other programs are not affected.
"""

import sys
from typing import Any


def _tell(kind: type[BaseException], problem: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, problem, trace)


if sys.argv[:1] == ["-m"]:  # argv while `python -m` still looks for the module
    sys.excepthook = _tell
