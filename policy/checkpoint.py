"""Read and write policy files outside of ``train.py`` (format: :mod:`policy.loading`)."""

from safetensors.torch import save

from policy.loading import (
    FORMAT,
    RESERVED,
    VERSION,
    Policy,
    PolicyError,
    check_policy,
    digest,
    load_policy,
    read_metadata,
    read_spec,
    spec_json,
)
from writing.files import write_atomically

__all__ = [
    "RESERVED",
    "Policy",
    "PolicyError",
    "check_policy",
    "digest",
    "load_policy",
    "read_metadata",
    "save_policy",
]


def save_policy(path, policy, extra=None):
    """Write ``policy`` to ``path`` atomically, with ``extra`` (str -> str) in its metadata.

    Raise PolicyError for a policy that :func:`load_policy` would refuse, and OSError if the file
    can't be written.
    """
    check_policy(policy, path)
    read_spec(spec_json(policy.spec), path)
    extra = dict(extra or {})
    if RESERVED & extra.keys():
        raise PolicyError(f"{path}: extra metadata may not use the names {sorted(RESERVED)}")
    metadata = {
        **extra,
        "format": FORMAT,
        "version": VERSION,
        "spec": spec_json(policy.spec),
        "sha256": digest(policy),
    }
    tensors = {
        name: weight.detach().cpu().contiguous().clone() for name, weight in policy.weights.items()
    }
    write_atomically(path, save(tensors, metadata))
