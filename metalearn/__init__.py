"""Meta-training: learn a policy by meta-gradients of the challenge's score over task variants.

Data flows one way: `episodes` (what to train, and the target) -> `rollout` (train it with a
policy) -> an estimator (meta-gradient) -> `trainer` (outer optimizer) -> checkpoint.
"""

import writing.interrupts  # noqa: F401 (before imports that take seconds)
