"""A submission's side of the oracle."""

import os
import threading

import torch

from evaluate.run.remote import RemoteTask
from evaluate.run.shared_memory import attach, create


class Waiting:
    """A channel that holds back its first answer until it is released."""

    def __init__(self, candidate):
        self.candidate, self.tested = candidate, []
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def send(self, message, tensors=None):
        self.asked.set()

    def receive(self):
        assert self.may_answer.wait(10)
        self.tested.append(self.candidate.tolist())
        return {"loss": self.candidate.sum().item(), "dtype": None}


def test_concurrent_tests_each_get_their_own_loss():
    descriptor, layout, _ = create([torch.zeros(2)] * 3)
    channel = Waiting(attach(descriptor, layout)[2])
    facts = {"layout": layout, "default_batch_size": 1, "target_test_loss": 0.0}
    task = RemoteTask(channel, facts, descriptor)
    losses = {}

    def test(value):
        losses[value] = task.test([torch.full((2,), value)])

    threads = [threading.Thread(target=test, args=(value,)) for value in (1.0, 2.0)]
    threads[0].start()
    assert channel.asked.wait(10)
    threads[1].start()
    threads[1].join(0.2)  # long enough to overwrite the first one's weights, if it could
    assert channel.candidate.tolist() == [1.0, 1.0]
    channel.may_answer.set()
    for thread in threads:
        thread.join(10)
    os.close(descriptor)
    assert losses == {1.0: 2.0, 2.0: 4.0} and channel.tested == [[1.0, 1.0], [2.0, 2.0]]
