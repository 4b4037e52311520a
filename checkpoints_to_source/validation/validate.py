"""Find all faults of a submission's ZIP."""

from checkpoints_to_source.archive import unpack
from checkpoints_to_source.extra import extra_package
from checkpoints_to_source.validation.content import readme_faults, report_faults
from checkpoints_to_source.validation.fault import Fault
from checkpoints_to_source.validation.source import source_faults
from checkpoints_to_source.validation.trial import trial_faults
from evaluate.sandbox.bounded import MEMORY, SECONDS, TooMuch, bounded

READERS = {"README.md": readme_faults, "train.py": source_faults, "report.pdf": report_faults}


def read_faults(content: bytes) -> list[Fault]:
    """Return the faults of the ZIP (bytes) that can be found without running anything."""
    return _read(content)[0]


def all_faults(content: bytes) -> list[Fault]:
    """Return all faults of the ZIP (bytes). Run train.py only if its source has no fault."""
    faults, source = _read(content)
    if source is None:
        return faults
    if any(fault.where.partition(",")[0] == "train.py" for fault in faults):
        what = "was not run, for its faults above"
        return [*faults, Fault("train.py", what, "fix them and validate again")]
    return faults + trial_faults(source)


def _read(content):
    """Return `(faults, source)`; `source` is train.py, or None if the ZIP has none."""
    for package in ("pypdf", "vermin"):
        extra_package(package)  # raise the error here, not in the child process
    try:
        return bounded(_read_all, content)
    except TooMuch:
        what = f"takes more than {SECONDS} s or {MEMORY / 2**30:.0f} GiB to read"
        return [Fault("ZIP", what, "make its files smaller, and their code less nested")], None


def _read_all(content):
    files, faults = unpack(content)
    for name, reader in READERS.items():
        if name in files:
            faults += reader(files[name])
    return faults, files.get("train.py")
