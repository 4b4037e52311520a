"""Policy files have exact round trips, and everything else is clearly refused."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from policy.checkpoint import (
    FORMAT,
    VERSION,
    Policy,
    PolicyError,
    digest,
    load_policy,
    save_policy,
)
from policy.rule.spec import Spec, weight_shapes


def make_policy(seed=0, spec=None):
    spec = spec or Spec(hidden=3)
    generator = torch.Generator().manual_seed(seed)
    shapes = weight_shapes(spec)
    return Policy(spec, {n: torch.randn(s, generator=generator) for n, s in shapes.items()})


def same(a, b):
    """Return whether two policies are equal to the bit."""
    bits_a = {name: weight.view(torch.int32).tolist() for name, weight in a.weights.items()}
    bits_b = {name: weight.view(torch.int32).tolist() for name, weight in b.weights.items()}
    return a.spec == b.spec and bits_a == bits_b


def write_raw(path, policy, **metadata):
    """Write a policy file with the given metadata in place of the true one; None omits a key."""
    true = {
        "format": FORMAT,
        "version": VERSION,
        "spec": json.dumps(policy.spec._asdict(), sort_keys=True),
        "sha256": digest(policy),
    }
    merged = {k: v for k, v in {**true, **metadata}.items() if v is not None}
    save_file(policy.weights, path, merged)
    return path


def refused(path, *words):
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    for word in words:
        assert word in message


def test_round_trip_is_bit_exact(tmp_path):
    policy = make_policy(spec=Spec(hidden=4, base_rate=1 / 3))
    tiny = torch.finfo(torch.float32).smallest_normal
    policy.weights["lstm.bias"][:4] = torch.tensor([-0.0, tiny / 2, -tiny, 999999.9375])
    save_policy(tmp_path / "p.safetensors", policy)
    loaded = load_policy(tmp_path / "p.safetensors")
    assert same(policy, loaded)
    assert digest(policy) == digest(loaded)


def test_weights_that_share_storage_or_need_gradients_are_saved(tmp_path):
    policy = make_policy()
    flat = torch.randn(sum(w.numel() for w in policy.weights.values()), requires_grad=True)
    parts = flat.split([w.numel() for w in policy.weights.values()])
    views = {n: p.view(w.shape) for (n, w), p in zip(policy.weights.items(), parts, strict=True)}
    save_policy(tmp_path / "p", Policy(policy.spec, views))
    detached = Policy(policy.spec, {name: view.detach() for name, view in views.items()})
    assert same(load_policy(tmp_path / "p"), detached)


def test_extra_metadata_is_kept_and_cannot_overwrite(tmp_path):
    save_policy(tmp_path / "p", make_policy(), {"steps": "12"})
    with safe_open(tmp_path / "p", framework="pt") as file:
        assert file.metadata()["steps"] == "12"
    with pytest.raises(PolicyError, match="extra metadata"):
        save_policy(tmp_path / "p", make_policy(), {"sha256": "0"})


def test_digest_sees_spec_names_and_every_bit():
    policy = make_policy()
    digests = {digest(policy), digest(policy._replace(spec=policy.spec._replace(stride=7)))}
    for name in policy.weights:
        changed = dict(policy.weights)
        changed[name] = changed[name].clone()
        changed[name].view(-1).view(torch.int32)[-1] ^= 1
        digests.add(digest(Policy(policy.spec, changed)))
    assert len(digests) == 2 + len(policy.weights)
    reordered = Policy(policy.spec, dict(reversed(policy.weights.items())))
    assert digest(reordered) == digest(policy)


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "none", "no such file")
    refused(tmp_path)


def test_every_truncation_is_refused(tmp_path):
    save_policy(tmp_path / "p", make_policy(spec=Spec(hidden=1)))
    content = (tmp_path / "p").read_bytes()
    short = tmp_path / "short"
    for length in range(0, len(content), 7):
        short.write_bytes(content[:length])
        refused(short)


def test_no_flipped_byte_changes_a_policy_unnoticed(tmp_path):
    policy = make_policy(spec=Spec(hidden=1))
    save_policy(tmp_path / "p", policy)
    content = bytearray((tmp_path / "p").read_bytes())
    broken = tmp_path / "broken"
    refusals = 0
    for position in range(len(content)):
        content[position] ^= 0x04
        broken.write_bytes(content)
        try:
            assert same(load_policy(broken), policy), position
        except PolicyError:
            refusals += 1
        content[position] ^= 0x04
    assert refusals > 0.9 * len(content)


def test_altered_weights_fail_the_checksum(tmp_path):
    refused(write_raw(tmp_path / "p", make_policy(1), sha256=digest(make_policy(2))), "checksum")
    refused(write_raw(tmp_path / "p", make_policy(1), sha256=None), "checksum")


@pytest.mark.parametrize("format_name", [None, "pt", ""])
def test_other_safetensors_files_are_refused(tmp_path, format_name):
    refused(write_raw(tmp_path / "p", make_policy(), format=format_name), "not a policy file")


def test_other_versions_are_refused(tmp_path):
    refused(write_raw(tmp_path / "p", make_policy(), version="1"), "version", "'1'")


@pytest.mark.parametrize(
    "spec, words",
    [
        (None, "JSON"),
        ("[]", "JSON"),
        ("{", "JSON"),
        ('{"hiden": 3}', "hiden"),
        ('{"hidden": "3"}', "hidden"),
        ('{"hidden": 3.0}', "hidden"),
        ('{"hidden": true}', "hidden"),
        ('{"base_rate": NaN}', "base_rate"),
        ('{"hidden": 4}', "lstm.weight"),
        ("[" * 100_000, "JSON"),
        ('{"stride": 0}', "stride"),
        ('{"hidden": -1}', "hidden"),
        ('{"base_rate": -0.001}', "base_rate"),
        ('{"base_rate": 0.0}', "base_rate"),
        ('{"gain": 1e300}', "gain"),
    ],
)
def test_bad_specs_are_refused(tmp_path, spec, words):
    refused(write_raw(tmp_path / "p", make_policy(), spec=spec), words)


def test_spec_fields_left_out_take_their_defaults(tmp_path):
    policy = make_policy(spec=Spec())
    assert load_policy(write_raw(tmp_path / "p", policy, spec="{}")).spec == Spec()


def damaged(damage):
    policy = make_policy()
    damage(policy.weights)
    return policy


DAMAGES = {
    "missing": lambda w: w.pop("head.bias"),
    "extra": lambda w: w.update(more=torch.zeros(1)),
    "transposed": lambda w: w.update({"lstm.weight": w["lstm.weight"].t().contiguous()}),
    "dtype": lambda w: w.update({"head.bias": w["head.bias"].double()}),
    "nan": lambda w: w["head.bias"].fill_(float("nan")),
    "huge": lambda w: w["head.bias"].fill_(3e38),
    "inf": lambda w: w["lstm.weight"][0].fill_(float("-inf")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_weights_are_neither_loaded_nor_saved(tmp_path, damage):
    policy = damaged(damage)
    refused(write_raw(tmp_path / "raw", policy))
    with pytest.raises(PolicyError):
        save_policy(tmp_path / "p", policy)
    assert not (tmp_path / "p").exists()


def test_non_finite_spec_is_not_saved(tmp_path):
    policy = make_policy(spec=Spec(hidden=3, gain=float("inf")))
    with pytest.raises(PolicyError, match="gain"):
        save_policy(tmp_path / "p", policy)
