"""Check any submission's ZIP, and report every fault with its fix.

`content` checks README.md and report.pdf, `source` checks train.py's syntax tree, `trial` runs
train.py, and `jail` watches the run.
"""
