"""Detect forbidden actions of a submission through Python's audit events.

An audit hook can't be removed (PEP 578), but native code bypasses it. So it detects broken rules
and does not stop an attacker. With namespaces, the network and the data are isolated as well
(evaluate.sandbox.namespaces, evaluate.sandbox.hide).
"""

import glob
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

#: Modules that hold or read the tasks' data.
DATA_MODULES = ("tasks", "pydoc_data")
#: A package, and its folders that hold only data.
_DATA_PACKAGE, _DATA_FOLDERS = "sklearn", ("datasets/data", "datasets/images")
#: Folders of Pythons that may hold another copy of the data.
OTHER_PYTHONS = ("/usr", "/usr/local", sys.base_prefix)
NETWORK_EVENTS = frozenset(
    {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}
)


def data_folders() -> list[str]:
    """Return the folders of the modules that hold or read the tasks' data."""
    return [os.path.realpath(path) for name in DATA_MODULES for path in _places(name)]


def known_data_files() -> list[str]:
    """Return the data files of all tasks. Hiding only the task's own would reveal the task."""
    folders = [Path(path, name) for path in _places(_DATA_PACKAGE) for name in _DATA_FOLDERS]
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return [os.path.realpath(path) for path in found if path.suffix != ".py" and path.is_file()]


def _places(package: str) -> list[str]:
    """Return the package's folders, including those of other Pythons among the shown folders."""
    spec = importlib.util.find_spec(package)
    own = [] if spec is None else list(spec.submodule_search_locations)
    inner = ("", "site-packages/", "dist-packages/")
    globs = [f"{root}/lib*/python3*/{one}{package}" for root in OTHER_PYTHONS for one in inner]
    return [*own, *(path for pattern in globs for path in glob.glob(pattern))]


def watch(
    data_files: Sequence[str],
    data_folders: Sequence[str],
    has_network: bool,
    tell: Callable[[str], None],
) -> None:
    """From now on, refuse reads of the data and report them by `tell`.

    `has_network`: also refuse network access, since there is no network namespace.
    """
    forbidden = {os.path.realpath(path) for path in data_files}
    below = tuple(folder + os.sep for folder in data_folders)

    def hook(event, arguments):
        broken = None
        if event == "import" and arguments[0].split(".")[0] in DATA_MODULES:
            broken = f"the submission imports {arguments[0]}"
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path in forbidden or path.startswith(below):
                broken = f"the submission reads the data file {os.path.basename(path)}"
        elif has_network and event in NETWORK_EVENTS:
            raise OSError(f"no network for submissions ({event})")
        if broken:
            tell(broken)
            raise PermissionError(broken)

    sys.addaudithook(hook)


class OpenedFiles:
    """A context manager that records which files this process opens.

    Files opened by imports are left out, code or not: a submission may import the same package.
    """

    def __init__(self):
        self.paths = set()
        self._is_on = False
        sys.addaudithook(self._note)

    def __enter__(self) -> set[str]:
        self._is_on = True
        return self.paths

    def __exit__(self, *_):
        self._is_on = False
        self.paths.intersection_update(filter(os.path.isfile, tuple(self.paths)))

    def _note(self, event, arguments):
        if not self._is_on or event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if path.endswith((".py", ".pyc")) or path.startswith(("/proc/", "/sys/", "/dev/")):
            return
        if not _is_importing():
            self.paths.add(path)


def _is_importing() -> bool:
    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
