"""The policy that meta-training begins from: what is known of rates before any is learned.

All rates are constant but for one term: they rise where steps have been too short, and fall where
too long, by the *overshoot* (`policy.rule.features.overshoot`), as hypergradient descent has it
(Baydin et al. 2018, arXiv:1703.04782). Evolution strategies find that term too slowly.
"""

from policy.checkpoint import Policy, load_policy
from policy.rule.features import OVERSHOOT
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

BASE_RATE = 3e-4  # wide transformers of the training families are late with 5e-4
GAIN = -0.25


def policy_to_begin_with(path: str, seed: int) -> Policy:
    """Return the policy of a file, which has to be sound; where `path` is empty, the first one."""
    return load_policy(path) if path else first_policy(seed)


def first_policy(seed: int) -> Policy:
    """Return the policy before any learning; the seed is that of the LSTM's weights."""
    spec = Spec(base_rate=BASE_RATE)
    weights = initial_weights(spec, seed)
    weights["skip.weight"][OVERSHOOT] = GAIN
    return Policy(spec, weights)
