"""Checks a submission's ZIP, ours or any other's, and names every fault with its fix.

`content` reads README.md and report.pdf, `source` reads train.py's syntax tree, `trial` runs it.
`jail` watches it while it runs.
"""
