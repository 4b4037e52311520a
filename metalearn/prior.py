"""The policy that meta-training begins from: what is known of rates before any is learned.

All rates are constant but for one term: they rise where steps have been too short, and fall where
too long, by the *overshoot* (`policy.rule.features.overshoot`), as hypergradient descent has it
(Baydin et al. 2018, arXiv:1703.04782). Evolution strategies do not find that term in some hundred
steps, since it pays slowly; from there on they find what else pays.
"""

from policy.checkpoint import Policy, load_policy
from policy.rule.features import OVERSHOOT
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

BASE_RATE = 3e-4  # wide transformers of the training families are late with 5e-4
GAIN = -0.25


def policy_to_begin_with(path: str, seed: int) -> Policy:
    """Return the policy of a file; where `path` is empty, the first one.

    Raises PolicyError where the file is not sound.
    """
    return load_policy(path) if path else first_policy(seed)


def first_policy(seed: int) -> Policy:
    """Return the policy before any learning; the seed is that of the LSTM's weights."""
    spec = Spec(base_rate=BASE_RATE)
    weights = initial_weights(spec, seed)
    weights["skip.weight"][OVERSHOOT] = GAIN
    return Policy(spec, weights)
