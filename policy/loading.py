"""A policy and its file: weights, spec and a checksum over both, in safetensors.

The file's metadata (safetensors: a map of strings) has the keys ``format``, ``version``, ``spec``
(a JSON object) and ``sha256`` (:func:`digest`). Its writer may add keys about the origin.
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
LARGEST = 1e6  # largest magnitude in a policy: far above learned ones, and squares stay finite


class PolicyError(ValueError):
    """An unusable policy or policy file. The message, one line, names it and the fix."""


class Policy(NamedTuple):
    """A learned update rule.

    spec: shapes and constants.
    weights: name -> float32 tensor, as listed by :func:`policy.rule.spec.weight_shapes`.
    """

    spec: Spec
    weights: dict


def digest(policy):
    """Return the SHA-256 (hex) of the spec and each weight's name, shape, little-endian bytes."""
    sha = hashlib.sha256(spec_json(policy.spec).encode())
    for name in sorted(policy.weights):
        numbers = policy.weights[name].detach().reshape(-1).tolist()
        sha.update(json.dumps([name, list(policy.weights[name].shape)]).encode())
        sha.update(struct.pack(f"<{len(numbers)}f", *numbers))  # needs no numpy
    return sha.hexdigest()


def check_policy(policy, where):
    """Raise PolicyError, naming ``where``, unless all weights match the spec and are finite."""
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
    """Return a policy file's metadata, name -> text; raise PolicyError if it can't be read."""
    return _read(path)[0]


def load_policy(path):
    """Return the :class:`Policy` in the file ``path``, with weights on the CPU.

    Raise PolicyError if the file is missing, is not a policy file of this version, is truncated or
    altered, or has weights that are not finite or don't match the spec's shapes.
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
    """Return the Spec in the JSON object ``text``; missing fields get their defaults.

    Raise PolicyError if it is not valid.
    """
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
