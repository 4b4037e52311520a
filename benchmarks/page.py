"""Tables of the documentation that are made from result files, and where numbers come from."""

import json
import shlex
import sys
from pathlib import Path

import tyro

from evaluate import provenance
from writing.files import write_text
from writing.markdown import insert

BEGUN = provenance.git()  # what is committed later, while a benchmark runs, did not make its result


def update(page, tables):
    """Write tables into a page, or end the program with one line.

    Args:
        page: path of a Markdown file with the markers.
        tables: name -> (path of a result file, function from its content to the table).
    """
    try:
        text = page.read_text()
        for name, (result, table) in tables.items():
            text = insert(text, name, table(json.loads(result.read_text())))
    except (OSError, ValueError, KeyError) as fault:
        print(f"error: {page}: {fault}", file=sys.stderr)
        sys.exit(2)
    write_text(page, text)


def table_command(name, table):
    """The command line of a script that writes one table into a page.

    Args:
        name: of the table's two markers.
        table: function from the content of a result file to the table.
    """

    def main(result: tyro.conf.Positional[Path], page: tyro.conf.Positional[Path]) -> None:
        """Write the table of a result file into a page.

        Args:
            result: file that the benchmark wrote.
            page: Markdown file with the two markers.
        """
        update(page, {name: (result, table)})

    tyro.cli(main)


def stamp(device, seed):
    """Of a result made now: command, commit, seed, hardware, versions. One thread.

    A repository that changed while the benchmark ran is told as one with changes.
    """
    is_as_begun = provenance.git() == BEGUN
    return {
        "command": ["python", *provenance.portable_command(sys.orig_argv[1:])],
        "git": BEGUN if is_as_begun else {**BEGUN, "dirty": True},
        "seed": seed,
        "hardware": provenance.hardware(device, 1),
        "versions": provenance.versions(),
    }


def origin(result):
    """The stamp of a result as one sentence."""
    hardware, versions, git = result["hardware"], result["versions"], result["git"]
    commit = provenance.short_commit(git, 12)
    return (
        f"{hardware['gpu'] or hardware['cpu']}, {hardware['cores']} cores, "
        f"{hardware['threads']} thread; Python {versions['python']}, torch {versions['torch']}; "
        f"commit {commit}, seed {result['seed']}; `{shlex.join(result['command'])}`."
    )
