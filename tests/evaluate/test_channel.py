"""Messages on the channel between an oracle and a submission."""

import io
import json
import socket
import zipfile

import pytest
import torch

from evaluate.run.channel import Channel, Garbled


@pytest.fixture
def ends():
    """Return both ends of a channel."""
    channels = [Channel(end.detach()) for end in socket.socketpair()]
    yield channels
    for channel in channels:
        channel.close()


def test_batch_does_not_carry_the_storage_it_views(ends):
    """Training and test data may share a storage."""
    data = torch.arange(10_000.0)
    wide = data[30:31].expand(20_000)
    sent = data[20:30], (data[40:60].view(4, 5).t(), None), data.requires_grad_()[:2], wide
    ends[0].send({"names": []}, sent)
    first, (second, nothing), third, wide = ends[1].receive(10.0)["tensors"]
    assert wide.shape == (20_000,) and wide.untyped_storage().nbytes() == 4 and wide[-1] == 30.0
    assert nothing is None and first.tolist() == list(range(20, 30))
    assert torch.equal(second, sent[1][0].detach()) and third.tolist() == [0.0, 1.0]
    for tensor in (first, second, third):
        assert tensor.untyped_storage().nbytes() == 4 * tensor.numel()


def test_other_tensors_arrive_unchanged(ends):
    sent = (
        torch.ones(3).expand(4, 3), torch.eye(3)[1], torch.tensor(2), torch.ones(0, 7),
        torch.tensor([True, False]), torch.randn(5).bfloat16(),
    )  # fmt: skip
    ends[0].send({}, sent)
    for tensor, expected in zip(ends[1].receive(10.0)["tensors"], sent, strict=True):
        assert tensor.dtype == expected.dtype and torch.equal(tensor, expected)


def freed_memory():
    """Return the file of a tensor that is made of the reader's own memory, of any content."""
    made = b"\x80\x02ctorch\nTensor\nM" + (1_000).to_bytes(2, "little") + b"\x85R."
    plain, content = io.BytesIO(), io.BytesIO()
    torch.save(None, plain)
    with zipfile.ZipFile(plain) as saved, zipfile.ZipFile(content, "w") as forged:
        for name in saved.namelist():
            forged.writestr(name, made if name.endswith("data.pkl") else saved.read(name))
    return content.getvalue()


FLOATS = {"shape": [4], "dtype": "float32", "offset": 0}
FORGED = {
    "freed memory": ({"tensors": True}, freed_memory()),
    "memory beyond": ({"tensors": {"shape": [4]}, "parts": [FLOATS]}, bytes(12)),
    "memory before": ({"tensors": {"shape": [4]}, "parts": [{**FLOATS, "offset": -8}]}, bytes(16)),
    "a count that overflows": (
        {"tensors": {"shape": [4]}, "parts": [{**FLOATS, "shape": [2**62 + 4]}]}, bytes(16)
    ),
    "a factor that overflows": (
        {"tensors": {"shape": [2**62, 2**3, 4]}, "parts": [FLOATS]}, bytes(16)
    ),
    "the rest of the memory": (
        {"tensors": {"shape": [4]}, "parts": [{**FLOATS, "shape": [-1]}]}, bytes(16)
    ),
    "other elements": (
        {"tensors": {"shape": [4]}, "parts": [{**FLOATS, "dtype": "quint8"}]}, bytes(16)
    ),
    "fewer tensors": ({"tensors": [{"shape": [4]}, {"shape": [4]}], "parts": [FLOATS]}, bytes(16)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_only_sent_bytes_become_tensors(ends, name):
    text, content = FORGED[name]
    ends[0]._connection.send_bytes(json.dumps(text).encode())
    ends[0]._connection.send_bytes(content)
    with pytest.raises(Garbled):
        ends[1].receive(10.0)
