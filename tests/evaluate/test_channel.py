"""Messages on the channel between an oracle and a submission."""

import socket

import pytest
import torch

from evaluate.run.channel import Channel


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
    sent = torch.ones(3).expand(4, 3), torch.eye(3).to_sparse(), torch.tensor(2)
    ends[0].send({}, sent)
    for tensor, expected in zip(ends[1].receive(10.0)["tensors"], sent, strict=True):
        assert torch.equal(tensor.to_dense(), expected.to_dense())
