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
    known = [setting for setting in SETTINGS if hasattr(matmul, setting[0])]
    if device.type == "cpu" or not known:
        yield
        return
    name, coarse = known[0]
    before = getattr(matmul, name)
    setattr(matmul, name, coarse)
    try:
        yield
    finally:
        setattr(matmul, name, before)
