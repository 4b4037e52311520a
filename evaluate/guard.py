"""What a submission's process must not do, as far as Python's audit events tell.

An audit hook cannot be taken out again (PEP 578), but native code goes around it: it finds who
breaks a rule, and is no wall against who sets out to. The network has a wall (evaluate.sandbox).
"""

import os
import sys
from collections.abc import Callable, Sequence

#: Modules that hold the tasks' data, or read it.
DATA_MODULES = ("tasks", "pydoc_data")
NETWORK_EVENTS = frozenset(
    {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}
)


def watch(data_files: Sequence[str], has_network: bool, tell: Callable[[str], None]) -> None:
    """From now on refuse, and ``tell`` of, reads of the data.

    With ``has_network``, where the system gives no network namespace, sockets are refused too.
    """
    forbidden = {os.path.realpath(path) for path in data_files}

    def hook(event, arguments):
        broken = None
        if event == "import" and arguments[0].split(".")[0] in DATA_MODULES:
            broken = f"the submission imports {arguments[0]}"
        elif event == "open" and forbidden and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path in forbidden:
                broken = f"the submission reads the data file {os.path.basename(path)}"
        elif has_network and event in NETWORK_EVENTS:
            raise OSError(f"no network for submissions ({event})")
        if broken:
            tell(broken)
            raise PermissionError(broken)

    sys.addaudithook(hook)


class OpenedFiles:
    """Notes which files this process opens for as long as it is entered, code left out."""

    def __init__(self):
        self.paths: set[str] = set()
        self._is_on = False
        sys.addaudithook(self._note)

    def __enter__(self) -> set[str]:
        self._is_on = True
        return self.paths

    def __exit__(self, *_):
        self._is_on = False

    def _note(self, event, arguments):
        if not self._is_on or event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not path.endswith((".py", ".pyc")) and not path.startswith(("/proc/", "/sys/", "/dev/")):
            self.paths.add(path)
