"""Run any train.py on the pairs of a suite under limits, verify its claims, and score it.

A submission is a black box: a Python file that defines `train(task)`. See
`python -m evaluate --help` for the command line and docs/evaluate.md for the rules.

Each layer imports only from the layers below it: `cli`; `run` and `show`, which do not import each
other; `score`; `peers`; `sandbox`; and the top-level modules, which all layers may import.
"""

import writing.interrupts  # noqa: F401 (before imports that take seconds)
