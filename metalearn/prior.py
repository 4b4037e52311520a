"""The policy that meta-training starts from: what is known about rates before learning.

Rates are constant except for one term, the *overshoot* (`policy.rule.features.overshoot`). It
raises rates if steps have been too short and lowers them if too long, as in hypergradient descent
(Baydin et al. 2018, arXiv:1703.04782). Evolution strategies learn this term too slowly.
"""

from policy.checkpoint import Policy, load_policy
from policy.rule.features import OVERSHOOT
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights

BASE_RATE = 3e-4  # with 5e-4, wide transformers of the training families are slow
GAIN = -0.25


def policy_to_begin_with(path: str, seed: int) -> Policy:
    """Load a policy from `path`; if empty, return the first one. Raises PolicyError if unsound."""
    return load_policy(path) if path else first_policy(seed)


def first_policy(seed: int) -> Policy:
    """Return the policy before any learning. `seed` determines the LSTM's weights."""
    spec = Spec(base_rate=BASE_RATE)
    weights = initial_weights(spec, seed)
    weights["skip.weight"][OVERSHOOT] = GAIN
    return Policy(spec, weights)
