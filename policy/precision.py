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
    name, before, coarse = (None,) * 3 if device.type == "cpu" else _newest_setting(matmul)
    if name is None:
        yield
        return
    setattr(matmul, name, coarse)
    try:
        yield
    finally:
        setattr(matmul, name, before)


def _newest_setting(matmul):
    """Name, value and value for TF32 of the newest setting that torch has; None for each without.
    Older ones are not read, which is an error once the newest was set."""
    for name, coarse in SETTINGS:
        try:
            return name, getattr(matmul, name), coarse
        except (AttributeError, AssertionError):  # the latter from 1.7 to 2.1
            pass
    return None, None, None
