"""A policy, and the file that holds one: weights, spec and a checksum over both, in safetensors.

The file's metadata (safetensors: a map of strings) has the keys ``format``, ``version``, ``spec``
(JSON object) and ``sha256`` (:func:`digest`), besides whatever its writer adds about the origin.
"""

import hashlib
import json
import struct
from typing import NamedTuple

import torch

from policy.rule.spec import Spec, weight_shapes

FORMAT = "autotrain-lr policy"
VERSION = "8"  # 8: one update direction per tensor
RESERVED = frozenset({"format", "version", "spec", "sha256"})
LARGEST = 1e6  # of any number of a policy: well beyond what is learned, and squares stay finite


class PolicyError(ValueError):
    """A policy, or its file, that cannot be used. The one-line message names it and the mend."""


class Policy(NamedTuple):
    """A learned update rule.

    spec: what fixes the shapes and constants.
    weights: name -> float32 tensor, as :func:`policy.rule.spec.weight_shapes` lists them.
    """

    spec: Spec
    weights: dict


def digest(policy):
    """SHA-256 (hex) of the spec and of every weight's name, shape and little-endian bytes."""
    sha = hashlib.sha256(spec_json(policy.spec).encode())
    for name in sorted(policy.weights):
        numbers = policy.weights[name].detach().reshape(-1).tolist()
        sha.update(json.dumps([name, list(policy.weights[name].shape)]).encode())
        sha.update(struct.pack(f"<{len(numbers)}f", *numbers))  # torch may come without numpy
    return sha.hexdigest()


def check_policy(policy, where):
    """Raise PolicyError, naming ``where``, unless all weights are as the spec says and finite."""
    shapes = weight_shapes(policy.spec)
    for name in policy.weights:
        if name not in shapes:
            raise PolicyError(f"{where}: unknown weight {name!r}; use the code that wrote it")
    for name, shape in shapes.items():
        if name not in policy.weights:
            raise PolicyError(f"{where}: weight {name!r} is missing; save the policy again")
        weight = policy.weights[name]
        if tuple(weight.shape) != tuple(shape) or weight.dtype != torch.float32:
            raise PolicyError(
                f"{where}: weight {name!r} is {weight.dtype} {tuple(weight.shape)} where the spec "
                f"asks for torch.float32 {tuple(shape)}; save it with the spec it was trained with"
            )
        if not bool((weight.abs() <= LARGEST).all()):
            raise PolicyError(
                f"{where}: weight {name!r} has entries that are not finite, or beyond "
                f"{LARGEST:g}; use a checkpoint from before it diverged"
            )


def read_metadata(path):
    """All metadata of a policy file, name -> text; raises PolicyError where there is none."""
    return _read(path)[0]


def load_policy(path):
    """The :class:`Policy` in the file ``path``, its weights on the CPU.

    Raises PolicyError where the file is missing, is no policy file of this version, or where its
    content is truncated, altered, not finite or not of the spec's shapes.
    """
    metadata, weights = _read(path)
    if metadata.get("format") != FORMAT:
        raise PolicyError(f"{path}: not a policy file; give one that `python -m metalearn` wrote")
    if metadata.get("version") != VERSION:
        raise PolicyError(
            f"{path}: policy format version {metadata.get('version')!r}, this code reads "
            f"{VERSION!r}; use the release that wrote it"
        )
    policy = Policy(read_spec(metadata.get("spec"), path), weights)
    check_policy(policy, path)
    if metadata.get("sha256") != digest(policy):
        raise PolicyError(f"{path}: checksum mismatch, the file is corrupt; copy it again")
    return policy


def _read(path):
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise PolicyError(f"{path}: needs safetensors to be read; pip install it") from None
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise PolicyError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror or error})") from None
    except SafetensorError as error:
        raise PolicyError(
            f"{path}: no policy file, or a truncated or corrupt one; copy it again ({error})"
        ) from None


def spec_json(spec):
    return json.dumps(spec._asdict(), sort_keys=True)


def read_spec(text, path):
    """The Spec in the JSON object ``text``; fields that it lacks have their defaults."""
    try:
        values = json.loads(text or "")
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise PolicyError(f"{path}: the spec is not a JSON object; save the policy again")
    for name, value in values.items():
        if name not in Spec._fields:
            raise PolicyError(f"{path}: unknown spec field {name!r}; use the code that wrote it")
        kind = type(getattr(Spec(), name))
        if type(value) is not kind or not 0 < value <= LARGEST:
            raise PolicyError(
                f"{path}: spec field {name!r} is {value!r}, not a positive {kind.__name__} up to "
                f"{LARGEST:g}; save the policy again"
            )
    try:
        return Spec(**values)
    except TypeError as error:
        raise PolicyError(f"{path}: incomplete spec ({error}); save the policy again") from None
