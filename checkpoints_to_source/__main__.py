"""``python -m checkpoints_to_source CHECKPOINT --out train.py``, or ``--policy-free``"""

import sys
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from checkpoints_to_source.modules import SourceError
from checkpoints_to_source.train_file import policy_free_train_file, train_file
from policy.checkpoint import PolicyError, digest, load_policy, write_atomically


def export(
    checkpoint: tyro.conf.Positional[Path | None] = None,
    out: Path = Path("train.py"),
    policy_free: bool = False,
) -> None:
    """Write a policy as one self-contained train.py.

    Args:
        checkpoint: policy file that `python -m metalearn` wrote.
        out: file to write.
        policy_free: write hand-set constant rates instead of a policy, with the same driver.
    """
    if policy_free == (checkpoint is not None):
        _fail("name either a checkpoint or --policy-free, and not both")
    try:
        learned = None if policy_free else load_policy(checkpoint)
        if learned and out.exists() and out.samefile(checkpoint):
            raise PolicyError(f"{out}: --out would overwrite the checkpoint; name another file")
        joined = train_file(learned) if learned else policy_free_train_file()
        content = joined.source.encode()
        write_atomically(out, content)
    except (PolicyError, SourceError) as error:
        _fail(error)
    except OSError as error:
        _fail(f"{out}: cannot be written ({error.strerror or error}); name another --out")
    _report(out, len(content), learned, joined.modules)


def _report(out, size, learned, modules):
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    rows = {"bytes": f"{size:,}"}
    if learned:
        rows["weights"] = f"{sum(weight.numel() for weight in learned.weights.values()):,}"
        rows["policy sha256"] = digest(learned)
    rows["modules"] = ", ".join(modules)
    for name, value in rows.items():
        table.add_row(name, value)
    console = Console(highlight=False, markup=False)
    console.print(f"wrote {out}", soft_wrap=True)
    console.print(table)


def _fail(message):
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    tyro.cli(export, prog="python -m checkpoints_to_source")
