"""All faults of a submission's ZIP."""

from checkpoints_to_source.archive import unpack
from checkpoints_to_source.validation.content import readme_faults, report_faults
from checkpoints_to_source.validation.fault import Fault
from checkpoints_to_source.validation.source import source_faults
from checkpoints_to_source.validation.trial import trial_faults

READERS = {"README.md": readme_faults, "train.py": source_faults, "report.pdf": report_faults}


def read_faults(content):
    """Faults of the ZIP (bytes) that show without running anything."""
    files, faults = unpack(content)
    for name, reader in READERS.items():
        if name in files:
            faults += reader(files[name])
    return faults


def all_faults(content):
    """Faults of the ZIP (bytes), those of running train.py included; a list of Fault.

    A train.py whose source has faults is not run.
    """
    files, faults = unpack(content)[0], read_faults(content)
    if "train.py" not in files:
        return faults
    if any(fault.where.partition(",")[0] == "train.py" for fault in faults):
        what = "was not run, for its faults above"
        return [*faults, Fault("train.py", what, "mend them and validate again")]
    return faults + trial_faults(files["train.py"])
