"""Checks a submission's ZIP, ours or any other's, and names every fault with the mend.

`content` reads each of the three files, `source` reads train.py's syntax tree, `trial` runs
it. `audit` is what watches it while it runs.
"""
