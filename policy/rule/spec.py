"""The shape of a policy: the few numbers that, with its weights, determine what it does."""

from typing import NamedTuple

TENSOR_FEATURES = 13  # what the controller sees of each parameter tensor, see policy.rule.features
GLOBAL_FEATURES = 8  # what it sees of the loss and of time, see policy.rule.signal
FEATURES = TENSOR_FEATURES + GLOBAL_FEATURES


class Spec(NamedTuple):
    """Constants of one policy.

    hidden: units of the LSTM.
    stride: optimizer steps between two decisions; rates are held in between.
    base_rate: learning rate over its natural unit, where the output is zero.
    gain: change of the log rate per unit of output. Above one, a given perturbation of the weights
        explores more rates.
    """

    hidden: int = 16
    stride: int = 5
    base_rate: float = 5e-4
    gain: float = 3.0


def input_size(spec):
    """Width of the LSTM's input: features, the tensor's last output, the mean hidden state."""
    return FEATURES + 1 + spec.hidden


def weight_shapes(spec):
    """Name -> shape of every weight of a policy, in canonical order."""
    return {
        "lstm.weight": (input_size(spec) + spec.hidden, 4 * spec.hidden),
        "lstm.bias": (4 * spec.hidden,),
        "head.weight": (spec.hidden, 1),
        "skip.weight": (FEATURES, 1),
        "head.bias": (1,),
    }
