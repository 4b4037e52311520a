"""How finely matrices are multiplied where their product need not be fine."""

import contextlib

import torch

# Newest first: settings of ``torch.backends.cuda.matmul`` that allow TF32, and their values for it.
SETTINGS = ("fp32_precision", "tf32"), ("allow_tf32", True)


@contextlib.contextmanager
def coarse_products(device):
    """Inside, an accelerator may take ten bits of each factor (TF32), several times as fast as all
    of float32. Where torch or the device knows no such products, and on a CPU, nothing changes."""
    matmul = getattr(getattr(torch.backends, "cuda", None), "matmul", None)
    known = [] if device.type == "cpu" else [one for one in SETTINGS if _has(matmul, one[0])]
    if not known:
        yield
        return
    name, coarse = known[0]
    before = getattr(matmul, name)
    setattr(matmul, name, coarse)
    try:
        yield
    finally:
        setattr(matmul, name, before)


def _has(matmul, name):
    """Whether torch has a setting. From 1.7 to 2.1 it does not say so by an AttributeError."""
    try:
        getattr(matmul, name)
    except (AttributeError, AssertionError):
        return False
    return True
