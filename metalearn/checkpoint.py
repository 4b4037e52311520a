"""Checkpoints of a meta-training run. Any number of processes can resume from one.

A checkpoint is a folder, `checkpoints/<outer step>`, complete or absent. It holds
`outer.safetensors` (policy weights, outer optimizer, random streams), one
`particles-<rank>.safetensors` per process, and `manifest.json` with the format version, the
policy's spec, the config and the SHA-256 of each file and of the manifest itself.

Particles may take many gigabytes, so each process checks its own share of the files. If one finds
damage, all of them skip the checkpoint.
"""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from metalearn.config import Config
from metalearn.shard import Shard
from policy.rule.spec import Spec
from writing.files import write_atomically

VERSION = 5  # since 5, controllers do not see the target
KEEP = 2
OUTER = "outer.safetensors"


class CheckpointError(ValueError):
    """A checkpoint is unusable."""


class VersionError(CheckpointError):
    """A checkpoint has another format version."""


class Found(NamedTuple):
    """The content of a checkpoint."""

    manifest: dict
    outer: dict  # name -> tensor
    particles: list  # a list of tensors per group


def save(
    folder: Path,
    step: int,
    outer: dict[str, torch.Tensor],
    particles: list[list[torch.Tensor]],
    config: Config,
    shard: Shard,
    spec: Spec,
) -> None:
    """Write checkpoint `step`. Every process must call this.

    `particles` are those of the calling process: per group a list of tensors, pairs first. Raises
    OSError without space or permission, or if some process does not see the folder. Earlier
    checkpoints are then left unchanged.
    """
    final, partial = folder / f"{step:06d}", folder / f".partial-{step:06d}"
    device = particles[0][0].device
    if shard.rank == 0:
        shutil.rmtree(partial, ignore_errors=True)
        files = {OUTER: _write(partial / OUTER, outer).hex()}
    shard.wait()
    is_shared = (partial / OUTER).is_file()
    if not shard.agree(is_shared, device) or not is_shared:
        raise OSError(f"{folder}: not all processes see it; put --out on a file system they share")
    named = {f"{g}.{i}": t for g, tensors in enumerate(particles) for i, t in enumerate(tensors)}
    digest = torch.tensor(list(_write(partial / _particles(shard.rank), named)), device=device)
    digests = shard.gather(digest).tolist()  # waits for all processes
    if shard.rank == 0:
        files |= {_particles(rank): bytes(told).hex() for rank, told in enumerate(digests)}
        manifest = {
            "version": VERSION,
            "step": step,
            "spec": spec._asdict(),
            "config": config.to_json(),
            "files": files,
        }
        manifest["sha256"] = _sha256_of_manifest(manifest)
        write_atomically(partial / "manifest.json", json.dumps(manifest, indent=1).encode())
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
        _sync(folder)
        for old in _complete(folder)[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)  # a leftover does no harm
    shard.wait()


def load_latest(folder: Path, shard: Shard, device: torch.device | str = "cpu") -> Found | None:
    """Return the newest sound checkpoint, or None if there is none. Every process must call this.

    Processes exchange numbers on `device`. A damaged checkpoint is skipped with a warning. The
    pairs are redistributed among the present processes. Raises CheckpointError if no checkpoint is
    sound, if processes see different ones, or if one newer than the newest sound one has another
    format version.
    """
    folders, faults = _complete(folder), []
    if not shard.agree([len(folders), int(folders[-1].name) if folders else -1], device):
        raise CheckpointError(f"{folder}: processes see different checkpoints in it")
    for path in reversed(folders):
        fault = None
        try:
            manifest = _checked(path, shard)
        except CheckpointError as found:
            fault = found
        told = torch.tensor([fault is not None, isinstance(fault, VersionError)], device=device)
        is_unsound, is_foreign = shard.sum(told.float()).tolist()
        if not is_unsound:
            if faults and shard.rank == 0:
                damages = "; ".join(map(str, faults))
                warnings.warn(f"{damages}: going on from {path}", RuntimeWarning, stacklevel=2)
            return _load(path, manifest, shard)
        faults.append(fault or CheckpointError(f"{path}: another process found it damaged"))
        if is_foreign:  # going on from an older one would overwrite it
            raise faults[-1]
    if faults:
        raise CheckpointError(f"{faults[0]}; no older one is sound: delete {folder} to start anew")
    return None


def _checked(path, shard):
    """Return the manifest of a checkpoint.

    Raises CheckpointError if the manifest, or a file in this process's share, is damaged, and
    VersionError if another version of the program wrote it.
    """
    manifest = _read_manifest(path)
    files = manifest["files"]
    for name in sorted(files)[shard.rank :: shard.size]:
        if _sha256(path / name) != files[name]:
            raise CheckpointError(f"{path / name}: missing or damaged (checksum differs)")
    return manifest


def _read_manifest(path):
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except (OSError, RecursionError, ValueError) as fault:
        raise CheckpointError(f"{path}/manifest.json: unreadable ({fault})") from None
    if not isinstance(manifest, dict):
        raise CheckpointError(f"{path}/manifest.json: damaged (not an object)")
    if manifest.get("version") != VERSION:
        raise VersionError(
            f"{path}: format version {manifest.get('version')}, this program reads {VERSION}: "
            "go on with the program that wrote it, or give another --out"
        )
    if manifest.pop("sha256", None) != _sha256_of_manifest(manifest):
        raise CheckpointError(f"{path}/manifest.json: damaged (checksum differs)")
    return manifest


def _load(path, manifest, shard):
    # Copy, since tensors are memory-mapped and the run will delete the file.
    outer = {name: t.clone() for name, t in load_file(path / OUTER).items()}
    files = [path / name for name in manifest["files"] if name != OUTER]
    return Found(manifest, outer, _own_particles(files, shard))


def _own_particles(files, shard):
    """Return this process's rows of all tensors, by group.

    Each file holds consecutive rows of the same tensors. Other rows are not read, since all
    together may exceed a machine's memory.
    """
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(safe_open(file, "pt")) for file in files]
        names = sorted(parts[0].keys(), key=lambda name: [int(n) for n in name.split(".")])
        groups = itertools.groupby(names, key=lambda name: name.split(".")[0])
        return [[_own_rows(parts, name, shard) for name in own] for _, own in groups]


def _own_rows(parts, name, shard):
    """Return `shard.take` of one tensor, without loading all of it."""
    slices = [part.get_slice(name) for part in parts]
    lengths = [rows.get_shape()[0] for rows in slices]
    count = sum(lengths) // shard.size
    begin, found = shard.rank * count, [slices[0][:0]]
    for rows, length in zip(slices, lengths, strict=True):
        first, last = max(begin, 0), min(begin + count, length)
        if first < last:
            found.append(rows[first:last])
        begin -= length
    return torch.cat(found)


def _particles(rank):
    return f"particles-{rank:04d}.safetensors"


def _write(path, tensors):
    """Write named tensors to a file; return the bytes of its SHA-256."""
    data = to_bytes({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    write_atomically(path, data)
    return hashlib.sha256(data).digest()


def _complete(folder):
    # Only names that are whole numbers: others are copies that a user made.
    return sorted(path for path in Path(folder).glob("*") if path.name.isdigit() and path.is_dir())


def _sha256_of_manifest(manifest):
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sha256(path):
    """Return the digest of a file, or None if it can't be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _sync(folder):
    """Flush a rename in `folder` to the disk, before older checkpoints are deleted."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
