"""How a policy is learned: meta-gradients of the challenge's own score over batches of task
variants.

Data flows one way: `episodes` (what to train, how far) -> `rollout` (training it with a
policy) -> an estimator (meta-gradient) -> `trainer` (outer optimizer) -> checkpoint.
"""

import writing.interrupts  # noqa: F401 (before imports that take seconds)
