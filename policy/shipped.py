"""The policy that LearnedLR has by default. The exported ``learned_lr.py`` has its numbers here."""

from importlib import resources

from policy.loading import load_policy


def shipped_policy():
    """Return the policy that comes with the repository, ``checkpoints/policy.safetensors``."""
    with resources.as_file(resources.files("checkpoints") / "policy.safetensors") as path:
        return load_policy(path)
