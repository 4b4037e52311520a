"""Coarse products are allowed if torch has the setting; without it nothing fails."""

from types import SimpleNamespace

import pytest
import torch

from policy.rule.precision import coarse_products, has_bfloat16, has_tiles

CUDA, CPU = SimpleNamespace(type="cuda"), SimpleNamespace(type="cpu")


class Old:
    """`torch.backends.cuda.matmul` of torch 1.7 to 2.1, which rejects unknown names."""

    def __init__(self):
        super().__setattr__("known", {"allow_tf32": False})

    def __getattr__(self, name):
        assert name in self.known, "Unknown attribute"
        return self.known[name]

    def __setattr__(self, name, value):
        assert name in self.known, "Unknown attribute"
        self.known[name] = value


class New:
    """That of torch 2.9 and later: the older setting can't be read while the newer one is set."""

    fp32_precision = "tf32"

    @property
    def allow_tf32(self):
        raise RuntimeError("mix of the legacy and new APIs")


@pytest.mark.parametrize(
    "matmul, known",
    [
        (Old(), "allow_tf32"),
        (SimpleNamespace(allow_tf32=False), "allow_tf32"),
        (SimpleNamespace(fp32_precision="ieee", allow_tf32=False), "fp32_precision"),
        (New(), "fp32_precision"),
        (SimpleNamespace(), None),
        (None, None),
    ],
    ids=["1.7 to 2.1", "from 2.2 on", "from 2.9 on", "set in it", "other", "before 1.7"],
)
def test_newest_available_setting_is_set_and_restored(monkeypatch, matmul, known):
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
    for device, is_coarse in ((CPU, False), (CUDA, known is not None)):
        before = known and getattr(matmul, known)
        with coarse_products(device):
            assert (known and getattr(matmul, known)) == (
                {"allow_tf32": True, "fp32_precision": "tf32"}[known] if is_coarse else before
            )
        assert (known and getattr(matmul, known)) == before


@pytest.mark.parametrize("bfloat16, tiles", [(True, True), (True, False), (False, False)])
def test_bfloat16_is_used_if_torch_reports_it(monkeypatch, bfloat16, tiles):
    cpu = SimpleNamespace(
        _is_avx512_bf16_supported=lambda: bfloat16, _is_amx_tile_supported=lambda: tiles
    )
    monkeypatch.setattr(torch, "cpu", cpu)
    for is_built in (True, False):
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda built=is_built: built)
        assert has_bfloat16() is (bfloat16 and is_built)
        assert has_tiles() is (tiles and is_built)


@pytest.mark.parametrize("cpu", [SimpleNamespace(), None], ids=["older torch", "oldest torch"])
def test_bfloat16_is_not_used_without_a_report(monkeypatch, cpu):
    monkeypatch.setattr(torch, "cpu", cpu)
    assert has_bfloat16() is has_tiles() is False
