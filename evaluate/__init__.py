"""Runs any train.py on the pairs of a suite under limits, verifies what it claims, and scores it.

A submission is a black box: a Python file that defines `train(task)`. The command line is
`python -m evaluate --help`; what is measured, and by which rules, stands in docs/evaluate.md.

Each room imports from those below it alone: `cli`; `run` and `show`, which do not know each
other; `score`; `peers`; `sandbox`; and the modules that lie beside them, for all.
"""

import writing.interrupts  # noqa: F401 (before imports that take seconds)
