"""Coarser products of matrices, where these need not be exact."""

import contextlib

import torch

# Newest first: settings of ``torch.backends.cuda.matmul`` that allow TF32, and their values for it.
SETTINGS = ("fp32_precision", "tf32"), ("allow_tf32", True)


@contextlib.contextmanager
def coarse_products(device):
    """Let an accelerator multiply in TF32, with ten bits of each factor: several times as fast as
    float32. Changes nothing on a CPU, or where torch or the device lacks TF32."""
    matmul = getattr(getattr(torch.backends, "cuda", None), "matmul", None)
    setting = None if device.type == "cpu" else _newest_setting(matmul)
    if setting is None:
        yield
        return
    name, before, coarse = setting
    setattr(matmul, name, coarse)
    try:
        yield
    finally:
        setattr(matmul, name, before)


def _newest_setting(matmul):
    """Return name, value and value for TF32 of the newest setting that torch has; None without one.
    Older settings are not read: torch raises an error for that once the newest was set."""
    for name, coarse in SETTINGS:
        try:
            return name, getattr(matmul, name), coarse
        except (AttributeError, AssertionError):  # the latter from 1.7 to 2.1
            pass
    return None


def has_bfloat16():
    """Return whether this CPU multiplies in bfloat16, with eight bits of each factor, twice as fast
    as in float32. Without such instructions, or torch's library for them, it may take sixty times
    as long."""
    has_instructions = getattr(getattr(torch, "cpu", None), "_is_avx512_bf16_supported", bool)
    return has_instructions() and torch.backends.mkldnn.is_available()


def has_tiles():
    """Return whether this CPU multiplies bfloat16 in tiles (AMX), three to seven times as fast as
    float32."""
    has_instructions = getattr(getattr(torch, "cpu", None), "_is_amx_tile_supported", bool)
    return has_bfloat16() and has_instructions()
