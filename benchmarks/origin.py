"""The origin of a result: command, commit, seed, hardware, versions."""

import shlex
import sys

from evaluate import provenance
from policy.checkpoint import digest
from policy.shipped import shipped_policy


def stamp(device: str, seed: int) -> dict:
    """Return the origin of a result measured from now on, with one thread per process."""
    return {
        "command": ["python", *provenance.portable_command(sys.orig_argv[1:])],
        "git": provenance.git(),
        "seed": seed,
        "hardware": provenance.hardware(device, 1),
        "versions": provenance.versions(),
    }


def settled(origin: dict) -> dict:
    """Return the origin at the end: dirty if the repository changed during the run."""
    if provenance.git() == origin["git"]:
        return origin
    return {**origin, "git": {**origin["git"], "dirty": True}}


def is_of_an_earlier_policy(result: dict) -> bool:
    """Return whether a result was measured with another policy than the shipped one."""
    return result.get("policy sha256") not in (None, digest(shipped_policy()))


def sentence(result: dict) -> str:
    """Return the origin of a result as one sentence."""
    hardware, versions, git = result["hardware"], result["versions"], result["git"]
    commit = provenance.short_commit(git, 12)
    told = "; an earlier policy" if is_of_an_earlier_policy(result) else ""
    return (
        f"{hardware['gpu'] or hardware['cpu']}, {hardware['cores']} cores, "
        f"{hardware['threads']} thread; Python {versions['python']}, torch {versions['torch']}; "
        f"commit {commit}, seed {result['seed']}{told}; `{shlex.join(result['command'])}`."
    )
