"""What decides: a learned learning-rate controller, and the driver that runs it on the oracles.

The modules that `policy.driver.run` needs are also the source of the exported ``train.py``. They
use only torch, numpy and the standard library, in what Python 3.7 and torch 1.1 already had, and
import from each other only by ``from policy.package.module import name``.
"""
