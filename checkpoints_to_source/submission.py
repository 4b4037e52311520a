"""Build the submission: README.md, train.py and report.pdf in one ZIP."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from checkpoints_to_source.archive import pack
from checkpoints_to_source.report import figures, gather, set_report
from checkpoints_to_source.report.results import ReportError, policy_log
from checkpoints_to_source.train_file import train_file
from checkpoints_to_source.validation.validate import read_faults
from policy.checkpoint import load_policy

_README = """\
# {team}

Team: {team}

Members:

{members}

| file | what it is |
| --- | --- |
| `train.py` | defines `train(task)`; needs Python 3.7 and torch 1.1, or later ones |
| `report.pdf` | four pages: Introduction, Related work, Method, Results |

`train.py` contains the weights of a learned update rule, and no weight of any network under test;
the report says how we read the ban on pretraining.
"""


def submission(
    team: str,
    members: Sequence[str],
    checkpoint: Path,
    results: Sequence[Path],
    benchmarks: Path,
) -> bytes:
    """Return the submission's ZIP. Equal arguments and files give equal bytes.

    Args:
        checkpoint: a policy, with the log of its meta-training in the same folder.
        results: evaluations of this policy's train.py; the first gives the figures.
        benchmarks: a folder with result files of benchmarks; those of this policy are reported.

    Raise PolicyError, SourceError, ReportError or ExtraError. One-line messages name the fix.
    """
    _check_names(team, members)
    learned = load_policy(checkpoint)
    source = train_file(learned).source.encode()
    sha256 = hashlib.sha256(source).hexdigest()
    facts, runs = gather(team, members, learned, checkpoint, sha256, results, benchmarks)
    pictures = {
        "meta_loss": figures.meta_loss(policy_log(checkpoint)),
        "learning_rates": figures.learning_rates(runs, sha256),
        "test_losses": figures.test_losses(runs, sha256),
    }
    readme = _README.format(team=team, members="\n".join(f"- {member}" for member in members))
    report = set_report(facts, pictures)
    content = pack({"README.md": readme.encode(), "train.py": source, "report.pdf": report})
    if faults := read_faults(content):
        raise ReportError(f"the submission would be invalid: {faults[0]}")
    return content


def _check_names(team, members):
    for option, name in (("--team", team), *(("--member", member) for member in members)):
        if not name.strip() or not name.isprintable():
            raise ReportError(f"{option} {name!r}: give a name on one line")
    if not members:
        raise ReportError("--member: name at least one")
